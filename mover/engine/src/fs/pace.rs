//! How much is moved in one call: little until a file system has shown that it is fast, so that a slow one stays in
//! no call for long.
//!
//! A source of a kilobyte a second then takes some seconds a call; it neither hangs nor looks as if it did. A fast
//! one costs four more calls and two pieces of advice, once a run.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::fs::Advice;

/// What is moved at first.
const FIRST: usize = 4096;
/// What is moved where the file system is fast, unless the caller has less.
const MOST: usize = 256 * 1024;
/// A call that is over so soon may be four times as large.
const FAST: Duration = Duration::from_millis(100);
/// A call that takes so long should be a quarter.
const SLOW: Duration = Duration::from_secs(2);

/// The pace of one file system, shared by all that read it.
#[derive(Debug)]
pub struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(FIRST))
    }
}

impl Pace {
    /// Prepares a file of which `length` bytes are to be read: while the pace is slow, the kernel must not read ahead
    /// more than is asked for. Returns whether [`Self::measure`] is needed.
    pub fn begin(&self, file: BorrowedFd<'_>, length: u64) -> bool {
        let careful = length > FIRST as u64 && self.0.load(Relaxed) < MOST;
        if careful {
            // Advice that is not taken does no harm.
            let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
        }
        careful
    }

    /// Makes a call that moves at most as many bytes as it is told, of the `want` at an offset, and measures it.
    pub fn measure<E>(
        &self,
        file: BorrowedFd<'_>,
        at: u64,
        want: usize,
        call: impl FnOnce(usize) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let stride = self.0.load(Relaxed);
        if stride >= MOST {
            return call(want);
        }
        let begun = Instant::now();
        let moved = call(want.min(aligned(at, stride)))?;
        let next = next(stride, moved, begun.elapsed());
        self.0.store(next, Relaxed);
        if next >= MOST {
            let _ = rustix::fs::fadvise(file, 0, None, Advice::Normal);
        }
        Ok(moved)
    }
}

/// Returns how much of `stride` bytes to move at an offset so that the next call begins at a multiple of it. File systems keep what is
/// written in pieces of their cache as large as it is, if it begins at a multiple of that: a file that is written from an odd offset on is
/// kept in small ones to its end.
pub fn aligned(at: u64, stride: usize) -> usize {
    stride - (at % stride as u64) as usize
}

/// Returns what to move in one call after one that moved `moved` bytes of `stride` in this time.
fn next(stride: usize, moved: usize, took: Duration) -> usize {
    // What the whole stride would have taken: files that are smaller than a stride have to be able to show it.
    let whole = took.as_secs_f64() * (stride as f64 / moved.max(1) as f64).max(1.0);
    if took >= SLOW {
        (stride / 4).max(FIRST)
    } else if moved >= FIRST && whole <= FAST.as_secs_f64() {
        (stride * 4).min(MOST)
    } else {
        stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_file_system_is_known_after_three_calls() {
        let mut stride = FIRST;
        for _ in 0..3 {
            stride = next(stride, stride, Duration::from_micros(50));
        }
        assert_eq!(stride, MOST);
    }

    #[test]
    fn the_first_calls_leave_the_rest_of_a_file_aligned() {
        let (mut at, mut stride) = (0, FIRST);
        while stride < MOST {
            let moved = aligned(at, stride);
            at += moved as u64;
            stride = next(stride, moved, Duration::from_micros(50));
        }
        assert_eq!(at % (64 << 10), 0, "{at}");
        assert_eq!(aligned(at, MOST) as u64, MOST as u64 - at);
        assert_eq!(aligned(5000, FIRST), 3192);
    }

    #[test]
    fn small_files_show_it_too() {
        let mut stride = FIRST;
        for _ in 0..3 {
            stride = next(stride, 5000, Duration::from_micros(5));
        }
        assert_eq!(stride, MOST);
    }

    #[test]
    fn no_call_takes_ten_seconds_at_a_kilobyte_a_second() {
        let mut stride = FIRST;
        for _ in 0..1000 {
            let took = Duration::from_secs((stride / 1024) as u64);
            assert!(
                took < Duration::from_secs(10),
                "{stride} bytes take {took:?}"
            );
            stride = next(stride, stride, took);
        }
    }

    #[test]
    fn the_end_of_a_file_says_nothing_about_the_pace() {
        assert_eq!(next(FIRST, 100, Duration::from_micros(5)), FIRST);
    }
}

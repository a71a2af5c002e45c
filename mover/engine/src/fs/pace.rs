//! How a file is read: how much in one call, and how far ahead the kernel is asked to have it ready.
//!
//! Little is moved in a call until a file system has shown that it is fast, so that a slow one stays in no call for long.
//! A source of a kilobyte a second then takes some seconds a call; it neither hangs nor looks as if it did. A fast
//! one costs four more calls and two pieces of advice, once a run.
//!
//! While content comes from a disk and not from memory, the kernel is asked for what comes next before it is read. By
//! itself it reads ahead as far as the block device says (`read_ahead_kb`, 128 KiB unless the device or somebody sets another).

use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::fs::Advice;

/// What is moved at first.
const FIRST: usize = 4096;
/// What is moved where the file system is fast, unless the caller has less.
const MOST: usize = 256 * 1024;
/// A call that is over so soon may be four times as large.
const FAST: Duration = Duration::from_millis(100);
/// A call that takes so long should be a quarter.
const SLOW: Duration = Duration::from_secs(2);
/// How far beyond a call the kernel is asked to read. Six cold files of 589 MB in all came at 0.3 to 1.0 GB/s without being
/// asked for, at 1.2 to 1.9 GB/s with 2 or 4 MiB, and at 0.4 to 1.8 GB/s with 8 to 64.
const AHEAD: u64 = 4 << 20;
/// What is moved in one call while the kernel is asked.
const PIECE: usize = 2 << 20;
/// Where less is moved it is not worth asking.
const WORTH: usize = 256 * 1024;

/// The pace of one file system, shared by all that read it.
#[derive(Debug)]
pub struct Pace {
    stride: AtomicUsize,
    /// The last call that told brought content from a disk.
    from_disk: AtomicBool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stride: AtomicUsize::new(FIRST),
            from_disk: AtomicBool::new(false),
        }
    }
}

impl Pace {
    /// Returns true if a file of this length is read without further ado.
    pub fn is_known_for(&self, length: u64) -> bool {
        length <= FIRST as u64 || self.stride.load(Relaxed) >= MOST
    }

    /// Begins with a file of which `length` bytes are to be read.
    pub fn begin<'a>(&'a self, file: BorrowedFd<'a>, length: u64) -> Reading<'a> {
        let held_back = !self.is_known_for(length);
        if held_back {
            // The kernel must not read ahead more than is asked for. Advice that is not taken does no harm.
            let _ = rustix::fs::fadvise(file, 0, None, Advice::Random);
        }
        Reading {
            pace: self,
            file,
            held_back,
            asked: 0,
        }
    }
}

/// A file that is read, from the front to the back.
#[derive(Debug)]
pub struct Reading<'a> {
    pace: &'a Pace,
    file: BorrowedFd<'a>,
    /// The kernel was told not to read ahead.
    held_back: bool,
    /// Up to where the kernel was asked to.
    asked: u64,
}

impl Reading<'_> {
    /// Makes a call that moves at most as many bytes as it is told, of the `want` at an offset.
    pub fn step<E>(
        &mut self,
        at: u64,
        want: usize,
        call: impl FnOnce(usize) -> Result<usize, E>,
    ) -> Result<usize, E> {
        if !self.held_back {
            return call(want);
        }
        let stride = self.pace.stride.load(Relaxed);
        if stride >= MOST {
            // Somebody else has found out.
            self.let_go();
            return call(want);
        }
        let begun = Instant::now();
        let moved = call(want.min(aligned(at, stride)))?;
        let next = next(stride, moved, begun.elapsed());
        self.pace.stride.store(next, Relaxed);
        if next >= MOST {
            self.let_go();
        }
        Ok(moved)
    }

    /// Like [`Self::step`], of a file that is read up to `end` and whose content comes through the cache of the kernel.
    pub fn step_ahead<E>(
        &mut self,
        at: u64,
        end: u64,
        want: usize,
        call: impl FnOnce(usize) -> Result<usize, E>,
    ) -> Result<usize, E> {
        if !self.held_back && want < WORTH {
            return call(want);
        }
        let before = blocks_read();
        let from_disk = &self.pace.from_disk;
        if self.held_back || !from_disk.load(Relaxed) {
            let moved = self.step(at, want, call)?;
            if blocks_read() != before {
                from_disk.store(true, Relaxed);
            }
            return Ok(moved);
        }
        let want = want.min(aligned(at, PIECE));
        let asked = self.ask_for(at, end.min(at + want as u64 + AHEAD));
        let moved = call(want)?;
        // Where there was nothing left to ask for, what was asked for before was perhaps read from the disk.
        if asked && blocks_read() == before {
            from_disk.store(false, Relaxed);
        }
        Ok(moved)
    }

    /// Returns false if all that was asked for already.
    fn ask_for(&mut self, from: u64, to: u64) -> bool {
        let from = from.max(self.asked);
        let length = NonZeroU64::new(to.saturating_sub(from));
        if length.is_some() {
            let _ = rustix::fs::fadvise(self.file, from, length, Advice::WillNeed);
            self.asked = to;
        }
        length.is_some()
    }

    fn let_go(&mut self) {
        let _ = rustix::fs::fadvise(self.file, 0, None, Advice::Normal);
        self.held_back = false;
    }
}

/// Returns how often this thread has had something read from a block device: what it asks for ahead is counted when
/// it asks. File systems without one count nothing, or their pages.
fn blocks_read() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.block_reads())
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
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

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

    #[test]
    fn where_somebody_else_has_found_the_pace_a_file_is_held_back_no_longer() {
        let pace = Pace::default();
        let file = tempfile::tempfile().unwrap();
        let mut reading = pace.begin(file.as_fd(), 1 << 20);
        assert!(reading.held_back);
        pace.stride.store(MOST, Relaxed);
        let moved = reading.step(0, 1 << 20, Ok::<_, ()>);
        assert_eq!(moved, Ok(1 << 20));
        assert!(!reading.held_back);
    }

    #[test]
    fn while_content_comes_from_a_disk_the_kernel_is_asked_for_what_comes_next() {
        let (file, pace) = (on_disk(16 << 20), fast());
        forget(&file);
        // The first shows where it comes from.
        assert_eq!(asked_in_steps(&pace, &file, &[0])[0], 0);
        assert!(pace.from_disk.load(Relaxed));
        let asked = asked_in_steps(&pace, &file, &[2 << 20, 4 << 20, 12 << 20]);
        assert_eq!(asked[..2], [6 << 20, 2 << 20]);
        assert_eq!(asked[2], 4 << 20, "no more than there is");
    }

    #[test]
    fn of_what_is_in_memory_nothing_is_asked() {
        let (file, pace) = (on_disk(16 << 20), fast());
        asked_in_steps(&pace, &file, &[0, 2 << 20]);
        assert!(!pace.from_disk.load(Relaxed));
        // Of the file before, that is. One question shows that it is over.
        pace.from_disk.store(true, Relaxed);
        asked_in_steps(&pace, &file, &[0]);
        assert!(!pace.from_disk.load(Relaxed));
    }

    /// Returns how much was read from the disk ahead of each step, which reads 2 MiB at an offset.
    fn asked_in_steps(pace: &Pace, file: &File, offsets: &[u64]) -> Vec<u64> {
        let length = file.metadata().unwrap().len();
        let mut reading = pace.begin(file.as_fd(), length);
        let mut asked_at = |&at| {
            let before = bytes_from_disks();
            let mut asked = 0;
            let moved = reading.step_ahead(at, length, 2 << 20, |want| {
                asked = bytes_from_disks() - before;
                file.read_at(&mut vec![0; want], at)
            });
            assert_eq!(moved.unwrap(), 2 << 20);
            asked
        };
        offsets.iter().map(&mut asked_at).collect()
    }

    /// A file beside the program, on a disk: what lies in a file system in memory is always there.
    fn on_disk(length: usize) -> File {
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.write_all_at(&vec![7; length], 0).unwrap();
        file
    }

    /// Nothing of it is in memory, and the kernel does not read ahead by itself.
    fn forget(file: &File) {
        file.sync_all().unwrap();
        rustix::fs::fadvise(file, 0, None, Advice::Random).unwrap();
        rustix::fs::fadvise(file, 0, None, Advice::DontNeed).unwrap();
    }

    fn fast() -> Pace {
        let pace = Pace::default();
        pace.stride.store(MOST, Relaxed);
        pace
    }

    /// What this thread has had read from disks.
    fn bytes_from_disks() -> u64 {
        let counted = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let mut lines = counted.lines();
        let bytes = lines.find_map(|line| line.strip_prefix("read_bytes: "));
        bytes.unwrap().parse().unwrap()
    }
}

//! The names of directories that are listed again, as they arrive. Pure.
//!
//! Invariant: what is kept of all of them together is bounded, whatever a source sends. A directory that is too large for that
//! has an error for an answer, so that nothing is deleted in it, and the session goes on.

use std::collections::HashMap;

use blit_engine::entry::is_valid_name;
use blit_proto::control::printable;
use blit_proto::v2::Relisted;

use crate::wire::Violation;

/// Names in the answer for one directory, at most: who sends more does so without end.
const NAMES: usize = 16 << 20;

/// Memory that the names of all directories in a session may take while they arrive. A million of the longest take 274 MiB.
const BYTES: usize = 512 << 20;

/// What a name takes beside its bytes: where it is, and what the allocator keeps.
const EACH: usize = 32;

/// Directories whose names were asked for.
#[derive(Debug, Default)]
pub(super) struct Relistings(HashMap<u64, Relisting>);

#[derive(Debug, Default)]
struct Relisting {
    names: Vec<Box<[u8]>>,
    /// How many came.
    count: usize,
    /// What those take that are kept.
    bytes: usize,
    /// There was no room: nothing is kept.
    too_large: bool,
    result: Option<Result<(), String>>,
}

impl Relistings {
    /// The names of a directory are asked for; false if they are already.
    pub(super) fn begin(&mut self, dir: u64) -> bool {
        self.0.insert(dir, Relisting::default()).is_none()
    }

    /// Takes a part of an answer; returns whether it was the last.
    pub(super) fn take(&mut self, message: Relisted) -> Result<bool, Violation> {
        let mut kept: usize = self.0.values().map(|open| open.bytes).sum();
        let open = self.0.get_mut(&message.dir);
        let open = open.filter(|open| open.result.is_none());
        let open = open.ok_or_else(|| Violation::new("a directory is relisted unasked"))?;
        for name in message.names {
            open.count += 1;
            if !is_valid_name(&name) || open.count > NAMES {
                return Err(Violation::new("a relisted name is not valid"));
            }
            if open.too_large {
                continue;
            }
            let takes = name.len() + EACH;
            kept += takes;
            if kept > BYTES {
                *open = Relisting {
                    count: open.count,
                    too_large: true,
                    ..Relisting::default()
                };
                continue;
            }
            open.bytes += takes;
            open.names.push(name.into_boxed_slice());
        }
        if !message.error.is_empty() {
            open.result = Some(Err(printable(&message.error)));
        } else if message.last {
            open.result = Some(match open.too_large {
                false => Ok(()),
                true => Err(format!(
                    "its names take more than the {} MiB that are kept of names that are listed again; divide the directory",
                    BYTES >> 20
                )),
            });
        }
        Ok(open.result.is_some())
    }

    /// Returns true while the answer for a directory is not complete.
    pub(super) fn is_open(&self, dir: u64) -> bool {
        self.0.get(&dir).is_some_and(|open| open.result.is_none())
    }

    /// Returns the answer for a directory, or `None` if it did not come, and forgets it.
    pub(super) fn end(&mut self, dir: u64) -> Option<Result<Vec<Box<[u8]>>, String>> {
        let Relisting { names, result, .. } = self.0.remove(&dir)?;
        Some(result?.map(|()| names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part of the answer for a directory: `count` names of `length` bytes, which differ.
    fn names(dir: u64, count: usize, length: usize) -> Relisted {
        let names = (0..count).map(|n| format!("{n:0length$}").into_bytes());
        Relisted {
            dir,
            names: names.collect(),
            ..Relisted::default()
        }
    }

    fn end(dir: u64) -> Relisted {
        Relisted {
            dir,
            last: true,
            ..Relisted::default()
        }
    }

    #[test]
    fn a_million_names_are_taken() {
        let mut relistings = Relistings::default();
        assert!(relistings.begin(0));
        for _ in 0..10 {
            assert!(!relistings.take(names(0, 100_000, 30)).unwrap());
        }
        assert!(relistings.take(end(0)).unwrap());
        assert_eq!(relistings.end(0).unwrap().unwrap().len(), 1_000_000);
        // So are the longest.
        const { assert!(1_000_000 * (255 + EACH) < BYTES) };
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_the_limit_is_named() {
        let mut relistings = Relistings::default();
        assert!(relistings.begin(0));
        let part = names(0, 4000, 255);
        let parts = BYTES / (4000 * (255 + EACH));
        for _ in 0..parts {
            relistings.take(part.clone()).unwrap();
        }
        assert!(!relistings.0[&0].too_large && relistings.0[&0].names.len() == parts * 4000);
        for _ in 0..100 {
            relistings.take(part.clone()).unwrap();
            assert_eq!(
                (relistings.0[&0].names.capacity(), relistings.0[&0].bytes),
                (0, 0)
            );
        }
        assert!(relistings.is_open(0));
        assert!(relistings.take(end(0)).unwrap());
        let error = relistings.end(0).unwrap().unwrap_err();
        assert!(error.contains("more than the 512 MiB"), "{error}");
    }

    #[test]
    fn all_directories_of_a_session_share_the_room_and_give_it_back() {
        let mut relistings = Relistings::default();
        assert!(relistings.begin(0) && relistings.begin(1) && !relistings.begin(1));
        relistings.0.get_mut(&0).unwrap().bytes = BYTES - 3 * (10 + EACH);
        relistings.take(names(1, 3, 10)).unwrap();
        assert_eq!(relistings.0[&1].names.len(), 3);
        relistings.take(names(1, 1, 10)).unwrap();
        assert!(relistings.0[&1].too_large);
        relistings.take(end(1)).unwrap();
        relistings.end(1).unwrap().unwrap_err();
        assert_eq!(relistings.end(0), None);
        assert!(relistings.begin(1));
        relistings.take(names(1, 4, 10)).unwrap();
        relistings.take(end(1)).unwrap();
        assert_eq!(relistings.end(1).unwrap().unwrap().len(), 4);
    }

    #[test]
    fn an_answer_without_an_end_ends_the_session() {
        let mut relistings = Relistings::default();
        assert!(relistings.begin(0));
        relistings.0.get_mut(&0).unwrap().count = NAMES - 1;
        relistings.take(names(0, 1, 10)).unwrap();
        relistings.take(names(0, 1, 10)).unwrap_err();
    }
}

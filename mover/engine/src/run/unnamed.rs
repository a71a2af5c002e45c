//! Files of one directory that are whole and have no name yet.
//!
//! To give a name takes the lock of the directory, and a thread that waits for it spins. So one thread gives names at a time, also to
//! what others made meanwhile: those go on with their next file.
//!
//! Invariant: what was taken over is named by whoever took it before that thread does anything else.

use std::fmt;
use std::sync::Mutex;

use super::planner::FileTask;
use crate::apply::file::NewFile;
use crate::entry::Inode;
use crate::tree::node::lock;

/// Files that wait at most; each is an open handle. Where making them is faster than naming, who makes more names them too.
const MOST: usize = 64;

/// A file that lacks nothing but its name.
pub(super) struct Whole {
    pub(super) task: FileTask,
    pub(super) file: NewFile,
    pub(super) inode: Option<Inode>,
}

/// Those of one directory.
pub(super) struct Unnamed<W = Whole>(Mutex<State<W>>);

struct State<W> {
    files: Vec<W>,
    /// Somebody gives names, and takes what is here before it ends.
    taken: bool,
}

/// Who names a file.
pub(super) enum Namer<W = Whole> {
    /// The thread that is at it.
    Another,
    /// The caller, and then what [`Unnamed::next`] brings.
    Caller(W),
    /// The caller, this one only.
    CallerOnce(W),
}

impl<W> Unnamed<W> {
    /// Takes a file that is whole.
    pub(super) fn add(&self, whole: W) -> Namer<W> {
        let mut state = lock(&self.0);
        if !state.taken {
            state.taken = true;
            return Namer::Caller(whole);
        }
        if state.files.len() >= MOST {
            return Namer::CallerOnce(whole);
        }
        state.files.push(whole);
        Namer::Another
    }

    /// Returns what came meanwhile; the caller names all of it and asks again. Nothing: it is done.
    pub(super) fn next(&self) -> Vec<W> {
        let mut state = lock(&self.0);
        state.taken = !state.files.is_empty();
        std::mem::take(&mut state.files)
    }
}

impl<W> Default for Unnamed<W> {
    fn default() -> Self {
        Self(Mutex::new(State {
            files: Vec::new(),
            taken: false,
        }))
    }
}

impl<W> fmt::Debug for Unnamed<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Unnamed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[test]
    fn who_comes_first_names_what_others_bring_until_there_is_nothing_more() {
        let unnamed = Unnamed::default();
        assert!(matches!(unnamed.add(1), Namer::Caller(1)));
        assert!(matches!(unnamed.add(2), Namer::Another));
        assert!(matches!(unnamed.add(3), Namer::Another));
        assert_eq!(unnamed.next(), [2, 3]);
        assert!(matches!(unnamed.add(4), Namer::Another));
        assert_eq!(unnamed.next(), [4]);
        assert!(unnamed.next().is_empty());
        assert!(matches!(unnamed.add(5), Namer::Caller(5)));
    }

    #[test]
    fn only_so_many_wait_and_who_makes_more_names_them() {
        let unnamed = Unnamed::default();
        assert!(matches!(unnamed.add(0), Namer::Caller(0)));
        for file in 0..MOST {
            assert!(matches!(unnamed.add(file), Namer::Another));
        }
        assert!(matches!(unnamed.add(7), Namer::CallerOnce(7)));
        assert_eq!(unnamed.next().len(), MOST);
    }

    #[test]
    fn whoever_makes_them_all_are_named_once() {
        const THREADS: usize = 8;
        const FILES: usize = 2_000;
        let unnamed = Unnamed::default();
        let names: Vec<AtomicUsize> = (0..THREADS * FILES).map(|_| AtomicUsize::new(0)).collect();
        let name = |file: usize| names[file].fetch_add(1, SeqCst);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (unnamed, name) = (&unnamed, &name);
                scope.spawn(move || {
                    for file in thread * FILES..(thread + 1) * FILES {
                        match unnamed.add(file) {
                            Namer::Another => {}
                            Namer::CallerOnce(file) => _ = name(file),
                            Namer::Caller(file) => {
                                name(file);
                                loop {
                                    let others = unnamed.next();
                                    if others.is_empty() {
                                        break;
                                    }
                                    others.into_iter().for_each(|file| _ = name(file));
                                }
                            }
                        }
                    }
                });
            }
        });
        assert!(names.iter().all(|named| named.load(SeqCst) == 1));
    }
}

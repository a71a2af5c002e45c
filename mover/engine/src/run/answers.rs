//! What the source was asked about blocks of files and has not answered yet.
//!
//! Invariant: an answer that nobody waits for any more is dropped, and who waits hears of the end of the run.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::arrivals::Tail;
use crate::fs::hash::Hash;
use crate::tree::ReadStatus;
use crate::tree::node::lock;
use crate::watch::{Wait, idle};

/// Time between two looks whether the run must end.
const LOOK: Duration = Duration::from_millis(200);

/// Answers of the source that were asked for: the hashes of blocks.
#[derive(Default)]
pub(super) struct Answers {
    state: Mutex<HashMap<u64, Asked>>,
    changed: Condvar,
}

/// What was asked about a file.
struct Asked {
    path: Arc<[u8]>,
    answer: Option<Answer>,
}

/// Hashes, or how reading the file ended.
pub(super) type Answer = Result<Vec<Hash>, ReadStatus>;

impl Answers {
    pub(super) fn expect(&self, id: u64, path: Arc<[u8]>) {
        let asked = Asked { path, answer: None };
        lock(&self.state).insert(id, asked);
    }

    /// Returns what the source has not answered: about how many files, and the first that was asked about with its number.
    pub(super) fn missing(&self) -> (usize, Option<(u64, Vec<u8>)>) {
        let state = lock(&self.state);
        let missing = || state.iter().filter(|(_, asked)| asked.answer.is_none());
        let files: HashSet<&[u8]> = missing().map(|(_, asked)| &*asked.path).collect();
        let oldest = missing().min_by_key(|(id, _)| **id);
        let oldest = oldest.map(|(id, asked)| (*id, asked.path.to_vec()));
        (files.len(), oldest)
    }

    /// Returns true if hashes of blocks were asked for under this number.
    pub(super) fn expects(&self, id: u64) -> bool {
        lock(&self.state).contains_key(&id)
    }

    /// Takes an answer; one that nobody waits for is dropped.
    pub(super) fn take(&self, id: u64, content: &[u8], tail: Tail) {
        let (hashes, rest) = content.as_chunks::<32>();
        let answer = match tail.status {
            ReadStatus::Stable if rest.is_empty() && tail.fresh.is_none() => Ok(hashes.to_vec()),
            // The file is another than the listed one.
            ReadStatus::Stable => Err(ReadStatus::Changed),
            status => Err(status),
        };
        if let Some(asked) = lock(&self.state).get_mut(&id) {
            asked.answer.get_or_insert(answer);
        }
        self.changed.notify_all();
    }

    pub(super) fn clear(&self) {
        lock(&self.state).clear();
        self.changed.notify_all();
    }

    /// Waits for an answer; `None` if the run must end before.
    pub(super) fn wait(&self, id: u64, must_end: impl Fn() -> bool) -> Option<Answer> {
        let mut state = lock(&self.state);
        loop {
            match state.get_mut(&id) {
                None => return None,
                Some(asked) if asked.answer.is_some() => {
                    return state.remove(&id).and_then(|asked| asked.answer);
                }
                Some(_) => {}
            }
            if must_end() {
                state.remove(&id);
                return None;
            }
            state = idle(Wait::Arrival, || {
                let waited = self.changed.wait_timeout(state, LOOK);
                waited.unwrap_or_else(PoisonError::into_inner).0
            });
        }
    }

    pub(super) fn forget(&self, ids: impl Iterator<Item = u64>) {
        let mut state = lock(&self.state);
        ids.for_each(|id| drop(state.remove(&id)));
    }
}

//! Where something is being written: two clients must not change one place at a time, nor one a place inside that of
//! the other. Pure, but for the lock.
//!
//! The lock in `.blit/` guards one directory against everybody; this guards what lies in each other, against
//! clients of this daemon.

use std::sync::{Arc, Mutex};

use crate::path::RelPath;
use crate::sync::lock;

/// The places of a daemon. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Vec<RelPath>>>);

/// A place that somebody has; given back when it is dropped.
pub(super) struct Taken {
    places: Places,
    path: RelPath,
}

impl Places {
    /// Takes a place; the error is what is in its way.
    pub(super) fn take(&self, path: &RelPath) -> Result<Taken, RelPath> {
        let mut taken = lock(&self.0);
        let in_the_way = |other: &&RelPath| other.is_within(path) || path.is_within(other);
        if let Some(other) = taken.iter().find(in_the_way) {
            return Err(other.clone());
        }
        taken.push(path.clone());
        Ok(Taken {
            places: self.clone(),
            path: path.clone(),
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        if let Some(at) = taken.iter().position(|path| *path == self.path) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_place_is_taken_with_all_above_and_below_until_it_is_given_back() {
        let places = Places::default();
        let taken = places.take(&path("a/b")).unwrap();
        for busy in ["a/b", "a/b/c", "a", ""] {
            assert_eq!(places.take(&path(busy)).err(), Some(path("a/b")), "{busy}");
        }
        let beside = places.take(&path("a/bb")).unwrap();
        drop(taken);
        let again = places.take(&path("a/b/c")).unwrap();
        assert!(places.take(&path("a")).is_err());
        drop((beside, again));
        assert!(places.take(&path("")).is_ok());
    }
}

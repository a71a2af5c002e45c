//! What only the destination has.

use super::Verifier;
use super::place::Place;
use crate::entry::Kind;
use crate::fs::Dir;
use crate::plan::heartbeat::NORMAL;
use crate::run::source::{Listing, Next};
use crate::run::state::{LOST_AND_FOUND, STATE_DIR};
use crate::tree::node::join;
use crate::tree::{LocalSource, ScanOptions};

impl Verifier {
    /// Reports every name of a directory that the source does not have, with all below. `seen` are the
    /// hashes of the names that it has.
    pub(super) fn extraneous(&self, place: &Place, there: &Dir, seen: &[u64]) {
        let is_root = place.path().is_empty();
        let read = there.reopen().and_then(|reader| {
            reader.read_names(|name| {
                // These a run keeps too.
                let ours = is_root && (name == STATE_DIR || name == LOST_AND_FOUND);
                if !ours && seen.binary_search(&self.hasher.hash(name)).is_err() {
                    let path = place.path_of(name);
                    self.differ(&path, &["extraneous"]);
                    if there
                        .stat(name)
                        .is_ok_and(|meta| meta.kind == Kind::Directory)
                    {
                        self.extraneous_below(there, name, &path);
                    }
                }
                !self.must_end()
            })
        });
        if let Err(errno) = read {
            self.failed(&place.path(), &format!("cannot read directory: {errno}"));
        }
    }

    /// Reports everything below a directory of the destination.
    pub(super) fn extraneous_below(&self, dir: &Dir, name: &[u8], path: &[u8]) {
        let opened = dir.open_dir(name).map_err(|errno| errno.to_string());
        let tree = opened.and_then(|dir| {
            LocalSource::from_dir(dir, ScanOptions::default()).map_err(|error| error.to_string())
        });
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => return self.failed(path, &format!("cannot read directory: {error}")),
        };
        loop {
            if self.must_end() {
                return;
            }
            match tree.next(NORMAL) {
                Ok(Next::Part(part)) => {
                    let below = tree.path_of(part.dir);
                    let at = if below.is_empty() {
                        path.to_vec()
                    } else {
                        join(path, &below)
                    };
                    for entry in &part.entries {
                        self.differ(&join(&at, &entry.name), &["extraneous"]);
                    }
                    if let Some(reason) = part.end.as_ref().and_then(super::incomplete_reason) {
                        self.failed(&at, &reason);
                    }
                    tree.done(part.dir, part.part, false);
                }
                Ok(Next::Pending) => {}
                Ok(Next::Finished) => return,
                Err(error) => return self.failed(path, &error.to_string()),
            }
        }
    }
}

//! What a daemon does with files below its root.

use blit_engine::entry::Entry;
use blit_engine::fs::Dir;
use blit_transport::daemon::{Given, Handler, Refusal};
use blit_transport::path::RelPath;

use super::{give, list};

/// The root of a daemon.
pub(super) struct Files {
    root: Dir,
}

impl Files {
    pub(super) fn new(root: Dir) -> Self {
        Self { root }
    }
}

impl Handler for Files {
    fn list(
        &self,
        path: &RelPath,
        give: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal> {
        list::list(&self.root, path, give)
    }

    fn give(&self, path: &RelPath, one_file_system: bool) -> Result<Given, Refusal> {
        give::give(&self.root, path, one_file_system)
    }
}

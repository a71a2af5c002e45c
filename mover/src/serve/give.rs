//! A tree, or one file, below the root of a daemon, for a client that pulls it.

use blit_crds::mirrorjob::Side;
use blit_engine::entry::Kind;
use blit_engine::fs::{Dir, Errno, FsError};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_transport::daemon::{Given, Refusal};
use blit_transport::path::RelPath;

use super::list::refusal;
use crate::process::blocks_queue;

/// Opens what is to be given. Nothing below the root is followed: a symbolic link is refused.
pub(super) fn give(root: &Dir, path: &RelPath, one_file_system: bool) -> Result<Given, Refusal> {
    // Attributes travel with the listing.
    let scan = ScanOptions {
        xattrs: true,
        one_file_system,
        ..ScanOptions::default()
    };
    let (dir, only) = match root.beneath(&path.to_path(), false) {
        Ok(dir) => (dir, None),
        Err(FsError {
            errno: Errno::NOTDIR | Errno::LOOP,
            ..
        }) => {
            let (dir, name) = file(root, path)?;
            (dir, Some(name))
        }
        Err(error) => return Err(refusal(path, error.errno)),
    };
    let single_file = only.is_some();
    let source = LocalSource::from_dir(dir, ScanOptions { only, ..scan });
    Ok(Given {
        source: source.map_err(|error| refusal(path, error.errno))?,
        single_file,
        display: path.to_string(),
        block_queue: blocks_queue(Side::Source),
    })
}

/// Finds a file: the directory that holds it, and its name.
fn file(root: &Dir, path: &RelPath) -> Result<(Dir, Box<[u8]>), Refusal> {
    let (above, name) = (path.split_last()).ok_or_else(|| refusal(path, Errno::NOTDIR))?;
    let dir = root.beneath(&above.to_path(), false);
    let dir = dir.map_err(|error| refusal(path, error.errno))?;
    let meta = dir.stat(name).map_err(|errno| refusal(path, errno))?;
    match meta.kind {
        Kind::File => Ok((dir, name.into())),
        Kind::Symlink => Err(refusal(path, Errno::LOOP)),
        _ => Err(Refusal::Usage(format!(
            "`{path}` is neither a directory nor a regular file; name the directory that holds it"
        ))),
    }
}

//! The content of a directory below the root of a daemon.

use blit_engine::entry::{Entry, Kind};
use blit_engine::fs::{Dir, Errno, FsError};
use blit_transport::daemon::Refusal;
use blit_transport::path::RelPath;

/// Gives the entries of a directory, or the one of anything else. Returns why not all could be read, if so.
pub(super) fn list(
    root: &Dir,
    path: &RelPath,
    give: &mut dyn FnMut(Entry) -> bool,
) -> Result<Option<String>, Refusal> {
    let dir = match root.beneath(&path.to_path(), false) {
        Ok(dir) => dir,
        Err(FsError {
            errno: Errno::NOTDIR | Errno::LOOP,
            ..
        }) => return one(root, path, give),
        Err(error) => return Err(refusal(path, error.errno)),
    };
    let (mut incomplete, mut wanted) = (None, true);
    let read = dir.read_names(|name| {
        match entry(&dir, name) {
            Ok(entry) => wanted = give(entry),
            // Gone since it was read.
            Err(Errno::NOENT) => {}
            Err(errno) => {
                incomplete.get_or_insert_with(|| FsError::new("list", name, errno).to_string());
            }
        }
        wanted
    });
    read.map_err(|errno| refusal(path, errno))?;
    Ok(incomplete)
}

/// Gives the entry of something that is no directory.
fn one(
    root: &Dir,
    path: &RelPath,
    give: &mut dyn FnMut(Entry) -> bool,
) -> Result<Option<String>, Refusal> {
    let (above, name) = (path.split_last()).ok_or_else(|| refusal(path, Errno::NOTDIR))?;
    let dir = root.beneath(&above.to_path(), false);
    let dir = dir.map_err(|error| refusal(path, error.errno))?;
    give(entry(&dir, name).map_err(|errno| refusal(path, errno))?);
    Ok(None)
}

fn entry(dir: &Dir, name: &[u8]) -> Result<Entry, Errno> {
    let meta = dir.stat(name)?;
    let target = match meta.kind {
        Kind::Symlink => Some(dir.read_link(name)?),
        _ => None,
    };
    Ok(Entry {
        name: name.into(),
        meta,
        target,
        dir: None,
        xattrs: None,
    })
}

/// Says why something below the root cannot be used.
pub(super) fn refusal(path: &RelPath, errno: Errno) -> Refusal {
    match errno {
        Errno::NOENT => Refusal::Usage(format!("`{path}` does not exist at the daemon")),
        Errno::NOTDIR => Refusal::Usage(format!("`{path}` is not a directory at the daemon")),
        Errno::LOOP | Errno::XDEV => Refusal::Usage(format!(
            "`{path}` leads through a symbolic link, which a daemon does not follow; name the directory itself"
        )),
        errno => Refusal::Failed(format!("cannot open `{path}` at the daemon: {errno}")),
    }
}

//! Removing what a client of a daemon names.

use blit_engine::fs::{Dir, Errno, FsError};
use blit_engine::run::{Purged, purge as remove};
use blit_transport::daemon::Refusal;
use blit_transport::path::RelPath;

use super::list::refusal;

/// Removes each path with all that is below it. Nothing is removed if one of them does not exist.
pub(super) fn purge(root: &Dir, paths: &[RelPath], dry_run: bool) -> Result<Purged, Refusal> {
    let mut found = Vec::new();
    for path in paths {
        let (above, name) = (path.split_last()).ok_or_else(|| {
            Refusal::Usage("the root is never removed; name what is in it".to_owned())
        })?;
        let dir = match root.beneath(&above.to_path(), false) {
            Ok(dir) => dir,
            Err(FsError { errno, .. }) => return Err(refusal(path, errno)),
        };
        dir.stat(name).map_err(|errno| refusal(path, errno))?;
        found.push((dir, name, path.to_bytes()));
    }
    let mut all = Purged::default();
    for (dir, name, path) in found {
        let done = remove(&dir, name, &path, dry_run);
        all.removed += done.removed;
        all.failed += done.failed;
        all.failures.extend(done.failures);
    }
    all.failures.truncate(20);
    if all.removed > 0 && !dry_run {
        root.sync_filesystem().map_err(|errno: Errno| {
            Refusal::Failed(format!(
                "what was removed cannot be flushed to disk: {errno}"
            ))
        })?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_if_one_of_the_paths_cannot() {
        let work = tempfile::tempdir().unwrap();
        std::fs::write(work.path().join("a"), "x").unwrap();
        let root = Dir::open_root(work.path()).unwrap();
        let path = |text: &str| RelPath::new(text.as_bytes()).unwrap();
        assert!(purge(&root, &[path("a"), path("b")], false).is_err());
        assert!(purge(&root, &[path("")], false).is_err());
        assert!(work.path().join("a").exists());
        let gone = purge(&root, &[path("a")], false).unwrap();
        assert_eq!((gone.removed, gone.failed), (1, 0));
    }
}

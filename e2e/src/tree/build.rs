//! Makes a described tree on disk.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;

use super::{Attributes, Kind, Node, Tree};
use crate::error::{Context, Result};
use crate::xattr;

/// Longest path that is made, in bytes: below `PATH_MAX` with room for the roots, so that rsync can judge.
const LONGEST_PATH: usize = 3000;

/// Makes the tree in a directory, which is made too if it is missing.
pub fn build(tree: &Tree, root: &Path) -> Result<()> {
    std::fs::create_dir_all(root).context("make", root)?;
    let mut made = Made {
        directories: vec![(root.to_path_buf(), &tree.root)],
        others: Vec::new(),
    };
    for node in &tree.nodes {
        made.add(node)?;
    }
    // Making an entry changes the times of its directory, so directories come last, the deepest first.
    for (path, attributes) in made.directories.iter().rev() {
        set(path, attributes, &Kind::Directory).context("set the attributes of", path)?;
    }
    Ok(())
}

/// What exists so far.
struct Made<'a> {
    directories: Vec<(PathBuf, &'a Attributes)>,
    others: Vec<PathBuf>,
}

impl<'a> Made<'a> {
    fn add(&mut self, node: &'a Node) -> Result<()> {
        let (parent, _) = &self.directories[node.place % self.directories.len()];
        let path = parent.join(OsStr::from_bytes(&node.name));
        if path.as_os_str().len() > LONGEST_PATH || path.symlink_metadata().is_ok() {
            return Ok(());
        }
        if let Kind::HardLink(number) = node.kind {
            if let Some(first) = self.others.get(number % self.others.len().max(1)) {
                std::fs::hard_link(first, &path).context("link", &path)?;
                self.others.push(path);
            }
            return Ok(());
        }
        make(&path, &node.kind).context("make", &path)?;
        if matches!(node.kind, Kind::Directory) {
            self.directories.push((path, &node.attributes));
            return Ok(());
        }
        set(&path, &node.attributes, &node.kind).context("set the attributes of", &path)?;
        self.others.push(path);
        Ok(())
    }
}

fn make(path: &Path, kind: &Kind) -> io::Result<()> {
    let node = |kind, device| Ok(mknod(path, kind, Mode::S_IRWXU, device)?);
    match kind {
        Kind::File(content) => content.write(&File::create_new(path)?),
        Kind::Directory => std::fs::create_dir(path),
        Kind::Symlink(target) => symlink(OsStr::from_bytes(target), path),
        Kind::Fifo => node(SFlag::S_IFIFO, 0),
        Kind::Socket => node(SFlag::S_IFSOCK, 0),
        Kind::CharDevice(major, minor) => node(SFlag::S_IFCHR, makedev(*major, *minor)),
        Kind::BlockDevice(major, minor) => node(SFlag::S_IFBLK, makedev(*major, *minor)),
        Kind::HardLink(_) => Ok(()),
    }
}

/// Sets what this type can have, in the order in which nothing undoes what came before.
fn set(path: &Path, attributes: &Attributes, kind: &Kind) -> io::Result<()> {
    lchown(path, Some(attributes.uid), Some(attributes.gid))?;
    let is_link = matches!(kind, Kind::Symlink(_));
    if !is_link {
        std::fs::set_permissions(path, Permissions::from_mode(attributes.mode))?;
        if let Some(acl) = &attributes.acl {
            xattr::set(path, b"system.posix_acl_access", &acl.value())?;
        }
    }
    if let (Kind::Directory, Some(acl)) = (kind, &attributes.default_acl) {
        xattr::set(path, b"system.posix_acl_default", &acl.value())?;
    }
    for (name, value) in attributes
        .xattrs
        .iter()
        .filter(|(name, _)| can_have(kind, name))
    {
        xattr::set(path, name, value)?;
    }
    let (seconds, nanoseconds) = attributes.mtime;
    let time = TimeSpec::new(seconds, i64::from(nanoseconds));
    utimensat(
        AT_FDCWD,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )?;
    Ok(())
}

fn can_have(kind: &Kind, name: &[u8]) -> bool {
    match kind {
        Kind::File(_) => true,
        Kind::Directory => !name.starts_with(b"security."),
        _ => name.starts_with(b"trusted."),
    }
}

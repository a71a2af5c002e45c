//! What tests put into volumes.

use std::os::unix::fs::lchown;
use std::path::Path;
use std::process::Command;

use super::error::{Error, Result};
use super::node::run;
use crate::mutate::{Change, mutate};
use crate::snapshot::Snapshot;
use crate::tree::{Kind, Tree, build, random as trees};

/// Copies a part of `/usr/share`, such as `doc`, into a directory: real files, with bytes of their own.
pub fn copy_of(part: &str, into: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=never"]);
    command.arg(format!("/usr/share/{part}")).arg(into);
    run(command).map(drop)
}

/// Makes a tree with every kind of entry that a container may make: what a Baseline mover keeps exactly.
pub fn every_kind(root: &Path) -> Result<()> {
    Ok(build(&without_trusted(crate::tree::every_kind()), root)?)
}

/// Makes a random tree of a Baseline mover; the seed repeats it.
pub fn random(root: &Path, seed: u64, nodes: usize) -> Result<()> {
    Ok(build(&without_trusted(trees::tree(seed, nodes)), root)?)
}

/// Makes a random tree that a mover without rights can read and keep exactly: all of one owner.
pub fn unprivileged(root: &Path, seed: u64, nodes: usize, owner: u32) -> Result<()> {
    let mut tree = trees::tree(seed, nodes);
    tree.nodes.retain(|node| {
        !matches!(
            node.kind,
            Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Socket
        )
    });
    tree.root.uid = owner;
    tree.root.gid = owner;
    for node in &mut tree.nodes {
        let attributes = &mut node.attributes;
        (attributes.uid, attributes.gid) = (owner, owner);
        // Its owner may always read and enter, and nothing depends on who it is.
        attributes.mode = attributes.mode & 0o777 | 0o700;
        attributes
            .xattrs
            .retain(|(name, _)| name.starts_with(b"user."));
        (attributes.acl, attributes.default_acl) = (None, None);
    }
    Ok(build(&tree, root)?)
}

/// Changes one entry of every hundred, by chance, and returns what was changed.
pub fn rewrite_share(root: &Path, seed: u64) -> Result<Vec<Change>> {
    let count = Snapshot::of(root)?.count().div_ceil(100);
    Ok(mutate(root, count, seed)?)
}

/// Makes so many small files in directories of a hundred, each of so many bytes; returns the bytes.
pub fn many(root: &Path, files: usize, size: usize, owner: u32) -> Result<u64> {
    let mut random = crate::seed::Random::new(files as u64);
    let mut bytes = vec![0; size];
    for number in 0..files {
        let directory = root.join(format!("d{:04}", number / 100));
        if number % 100 == 0 {
            std::fs::create_dir(&directory).map_err(failed("make", &directory))?;
            lchown_to(&directory, owner)?;
        }
        random.fill(&mut bytes);
        let file = directory.join(format!("f{number:06}"));
        std::fs::write(&file, &bytes).map_err(failed("write", &file))?;
        lchown_to(&file, owner)?;
    }
    Ok((files * size) as u64)
}

/// Gives a whole tree to one user and group.
pub fn give(root: &Path, owner: u32) -> Result<()> {
    let mut command = Command::new("chown");
    command.args(["-hR", &format!("{owner}:{owner}")]).arg(root);
    run(command).map(drop)
}

/// Leaves out `trusted.*`, which only a process with CAP_SYS_ADMIN can see, so no mover can.
fn without_trusted(mut tree: Tree) -> Tree {
    let all = tree.nodes.iter_mut().map(|node| &mut node.attributes);
    for attributes in all.chain([&mut tree.root]) {
        attributes
            .xattrs
            .retain(|(name, _)| !name.starts_with(b"trusted."));
    }
    tree
}

fn lchown_to(path: &Path, owner: u32) -> Result<()> {
    lchown(path, Some(owner), Some(owner)).map_err(failed("give away", path))
}

fn failed(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::io(format!("{what} {}", path.display()))
}

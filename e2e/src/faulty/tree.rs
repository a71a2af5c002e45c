//! The tree in memory. It knows nothing of FUSE but its error numbers and types.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo};

use super::Nature;

/// Number of the root.
const ROOT: u64 = 1;

/// One inode.
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) rdev: u32,
    pub(super) links: u32,
    pub(super) mtime: SystemTime,
    pub(super) ctime: SystemTime,
    pub(super) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The last name that it got: what faults are known by.
    pub(super) name: OsString,
}

/// What an inode holds.
pub(super) enum Content {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, u64>),
    Symlink(Vec<u8>),
    Other(FileType),
}

/// All inodes. One that has no name any more stays: it may be open.
pub(super) struct Tree {
    nature: Nature,
    nodes: HashMap<u64, Node>,
    next: u64,
}

/// An answer.
pub(super) type Answer<T> = Result<T, Errno>;

impl Tree {
    pub(super) fn new(nature: Nature) -> Self {
        let mut tree = Self {
            nature,
            nodes: HashMap::new(),
            next: ROOT + 1,
        };
        let root = tree.fresh(Content::Directory(BTreeMap::new()), 0o755, (0, 0), 0);
        tree.nodes.insert(ROOT, root);
        tree
    }

    pub(super) fn node(&self, number: INodeNo) -> Answer<&Node> {
        self.nodes.get(&number.0).ok_or(Errno::ENOENT)
    }

    /// Returns a node that is about to be changed.
    pub(super) fn change(&mut self, number: INodeNo) -> Answer<&mut Node> {
        let now = self.now();
        let node = self.nodes.get_mut(&number.0).ok_or(Errno::ENOENT)?;
        node.ctime = now;
        Ok(node)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.cut(SystemTime::now())
    }

    /// Cuts a time to what the file system keeps.
    pub(super) fn cut(&self, time: SystemTime) -> SystemTime {
        let granule = u128::from(self.nature.time_granule);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => {
                let cut = since.as_nanos() / granule * granule;
                UNIX_EPOCH + Duration::from_nanos(u64::try_from(cut).unwrap_or(u64::MAX))
            }
            // None of the tests needs an earlier one.
            Err(_) => UNIX_EPOCH,
        }
    }

    pub(super) fn tells_folding(&self) -> bool {
        self.nature.tells_folding
    }

    pub(super) fn tells_dots(&self) -> bool {
        self.nature.dots_last
    }

    pub(super) fn entries(&self, directory: INodeNo) -> Answer<&BTreeMap<OsString, u64>> {
        match &self.node(directory)?.content {
            Content::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Returns the name as the directory has it, and the inode.
    pub(super) fn find(&self, directory: INodeNo, name: &OsStr) -> Answer<Option<(OsString, u64)>> {
        let entries = self.entries(directory)?;
        if let Some(number) = entries.get(name) {
            return Ok(Some((name.to_owned(), *number)));
        }
        if !self.nature.folds_case {
            return Ok(None);
        }
        let folded = fold(name);
        let found = entries.iter().find(|(other, _)| fold(other) == folded);
        Ok(found.map(|(name, number)| (name.clone(), *number)))
    }

    pub(super) fn lookup(&self, directory: INodeNo, name: &OsStr) -> Answer<INodeNo> {
        match self.find(directory, name)? {
            Some((_, number)) => Ok(INodeNo(number)),
            None => Err(Errno::ENOENT),
        }
    }

    /// Makes an entry that is not there.
    pub(super) fn make(
        &mut self,
        directory: INodeNo,
        name: &OsStr,
        content: Content,
        mode: u32,
        owner: (u32, u32),
        rdev: u32,
    ) -> Answer<INodeNo> {
        if self.find(directory, name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        let mut node = self.fresh(content, mode, owner, rdev);
        node.links = 0;
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.attach(directory, name, number)?;
        Ok(INodeNo(number))
    }

    /// Gives an inode one more name, which is free.
    pub(super) fn attach(&mut self, directory: INodeNo, name: &OsStr, number: u64) -> Answer<()> {
        self.names(directory)?.insert(name.to_owned(), number);
        let node = self.change(INodeNo(number))?;
        node.links += 1;
        node.name = name.to_owned();
        Ok(())
    }

    /// Takes a name away; `directory_wanted` says what it must be.
    pub(super) fn remove(
        &mut self,
        directory: INodeNo,
        name: &OsStr,
        directory_wanted: bool,
    ) -> Answer<()> {
        let (name, number) = self.find(directory, name)?.ok_or(Errno::ENOENT)?;
        match (&self.node(INodeNo(number))?.content, directory_wanted) {
            (Content::Directory(entries), true) if !entries.is_empty() => {
                return Err(Errno::ENOTEMPTY);
            }
            (Content::Directory(_), false) => return Err(Errno::EISDIR),
            (Content::Directory(_), true) | (_, false) => {}
            (_, true) => return Err(Errno::ENOTDIR),
        }
        self.detach(directory, &name, number)
    }

    fn detach(&mut self, directory: INodeNo, name: &OsStr, number: u64) -> Answer<()> {
        self.names(directory)?.remove(name);
        self.change(INodeNo(number))?.links -= 1;
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (INodeNo, &OsStr),
        to: (INodeNo, &OsStr),
        exclusive: bool,
        exchange: bool,
    ) -> Answer<()> {
        let (from_name, moved) = self.find(from.0, from.1)?.ok_or(Errno::ENOENT)?;
        let there = self.find(to.0, to.1)?;
        match there {
            Some(_) if exclusive => return Err(Errno::EEXIST),
            Some((name, other)) if exchange => {
                self.detach(from.0, &from_name, moved)?;
                self.detach(to.0, &name, other)?;
                self.attach(from.0, &from_name, other)?;
                return self.attach(to.0, &name, moved);
            }
            None if exchange => return Err(Errno::ENOENT),
            // Two names of one inode: nothing is done.
            Some((_, other)) if other == moved => return Ok(()),
            Some((name, other)) => {
                let is_directory =
                    matches!(self.node(INodeNo(other))?.content, Content::Directory(_));
                self.remove(to.0, &name, is_directory)?;
                self.detach(from.0, &from_name, moved)?;
                // As other file systems that fold case do: the old spelling stays.
                return self.attach(to.0, &name, moved);
            }
            None => {}
        }
        self.detach(from.0, &from_name, moved)?;
        self.attach(to.0, to.1, moved)
    }

    pub(super) fn attributes(&self, number: INodeNo) -> Answer<FileAttr> {
        let node = self.node(number)?;
        let (kind, size, links) = match &node.content {
            Content::File(bytes) => (FileType::RegularFile, bytes.len(), node.links),
            Content::Directory(_) => (FileType::Directory, 4096, 2),
            Content::Symlink(target) => (FileType::Symlink, target.len(), node.links),
            Content::Other(kind) => (*kind, 0, node.links),
        };
        let size = size as u64;
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(4096) * 8,
            atime: node.mtime,
            mtime: node.mtime,
            ctime: node.ctime,
            crtime: node.ctime,
            kind,
            perm: node.mode,
            nlink: links,
            uid: node.uid,
            gid: node.gid,
            rdev: node.rdev,
            blksize: 4096,
            flags: 0,
        })
    }

    /// Returns the names of a directory that is about to change.
    fn names(&mut self, directory: INodeNo) -> Answer<&mut BTreeMap<OsString, u64>> {
        let now = self.now();
        let node = self.change(directory)?;
        node.mtime = now;
        match &mut node.content {
            Content::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn fresh(&self, content: Content, mode: u32, (uid, gid): (u32, u32), rdev: u32) -> Node {
        Node {
            content,
            mode: (mode & 0o7777) as u16,
            uid,
            gid,
            rdev,
            links: 1,
            mtime: self.now(),
            ctime: self.now(),
            xattrs: BTreeMap::new(),
            name: OsString::new(),
        }
    }
}

fn fold(name: &OsStr) -> Vec<u8> {
    match name.to_str() {
        Some(text) => text.to_lowercase().into_bytes(),
        None => name.as_bytes().to_ascii_lowercase(),
    }
}

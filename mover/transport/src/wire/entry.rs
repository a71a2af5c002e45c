//! Entries as messages and back. Whatever comes from a peer is checked here before the engine sees it.

use blit_engine::entry::{DirId, Entry, Kind, Meta, Time, Xattrs, is_valid_name};
use blit_proto::v2::{EntryKind, FileHeader, Xattr, XattrList};

use super::Violation;

/// Longest target of a symbolic link, in bytes: PATH_MAX without the final NUL.
const TARGET_BYTES: usize = 4095;

/// Longest name of an extended attribute, in bytes: XATTR_NAME_MAX.
const XATTR_NAME_BYTES: usize = 255;

/// Longest value of an extended attribute, in bytes: XATTR_SIZE_MAX.
const XATTR_VALUE_BYTES: usize = 64 << 10;

/// Makes the message for an entry.
pub(crate) fn to_header(entry: &Entry) -> FileHeader {
    let meta = &entry.meta;
    FileHeader {
        name: entry.name.to_vec(),
        kind: kind_to_wire(meta.kind).into(),
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        size: meta.size,
        blocks: meta.blocks,
        mtime_seconds: meta.mtime.seconds,
        mtime_nanoseconds: meta.mtime.nanoseconds,
        ctime_seconds: meta.ctime.seconds,
        ctime_nanoseconds: meta.ctime.nanoseconds,
        rdev_major: meta.rdev.0,
        rdev_minor: meta.rdev.1,
        dev_major: meta.dev.0,
        dev_minor: meta.dev.1,
        ino: meta.ino,
        nlink: meta.nlink,
        target: entry.target.as_ref().map(|target| target.to_vec()),
        dir: entry.dir.map(|dir| dir.0),
        xattrs: entry.xattrs.as_ref().map(xattrs_to_wire),
    }
}

/// Makes the entry from a message about a name in a directory.
pub(crate) fn from_header(header: FileHeader) -> Result<Entry, Violation> {
    if !is_valid_name(&header.name) {
        return Err(Violation::new(
            "a name is empty, too long or leaves its directory",
        ));
    }
    let entry = unchecked_name(header)?;
    match (entry.meta.kind, entry.dir) {
        (Kind::Directory, Some(dir)) if dir != DirId::ROOT => Ok(entry),
        (Kind::Directory, _) => Err(Violation::new("a directory has no number")),
        (_, Some(_)) => Err(Violation::new(
            "something that is no directory has a number",
        )),
        (_, None) => Ok(entry),
    }
}

/// Makes the entry from a message in the answer to a list, where directories have no numbers.
pub(crate) fn listed(header: FileHeader) -> Result<Entry, Violation> {
    if !is_valid_name(&header.name) || header.dir.is_some() {
        return Err(Violation::new("a list holds what is no entry of a list"));
    }
    unchecked_name(header)
}

/// Makes the entry of the root from a message: it has no name and is a directory.
pub(crate) fn root_from_header(header: FileHeader) -> Result<Entry, Violation> {
    if !header.name.is_empty() {
        return Err(Violation::new("the root has a name"));
    }
    let entry = unchecked_name(header)?;
    if entry.meta.kind != Kind::Directory || entry.dir != Some(DirId::ROOT) {
        return Err(Violation::new("the root is not directory 0"));
    }
    Ok(entry)
}

fn unchecked_name(header: FileHeader) -> Result<Entry, Violation> {
    let kind = kind_from_wire(header.kind())?;
    if header.mode > 0o7777 {
        return Err(Violation::new("a mode has more than 12 bits"));
    }
    if header.size > i64::MAX as u64 {
        return Err(Violation::new("a size is larger than any file"));
    }
    let rdev = (header.rdev_major, header.rdev_minor);
    let meta = Meta {
        kind,
        mode: header.mode,
        uid: header.uid,
        gid: header.gid,
        size: header.size,
        blocks: header.blocks,
        mtime: time(header.mtime_seconds, header.mtime_nanoseconds)?,
        ctime: time(header.ctime_seconds, header.ctime_nanoseconds)?,
        rdev: if kind.is_device() { rdev } else { (0, 0) },
        dev: (header.dev_major, header.dev_minor),
        ino: header.ino,
        nlink: header.nlink,
    };
    let target = target(kind, header.target)?;
    let xattrs = header.xattrs.map(xattrs_from_wire).transpose()?;
    Ok(Entry {
        name: header.name.into_boxed_slice(),
        meta,
        target,
        dir: header.dir.map(DirId),
        xattrs,
    })
}

fn target(kind: Kind, target: Option<Vec<u8>>) -> Result<Option<Box<[u8]>>, Violation> {
    match (kind, target) {
        (Kind::Symlink, Some(target)) => {
            if target.is_empty() || target.len() > TARGET_BYTES || target.contains(&0) {
                return Err(Violation::new(
                    "the target of a symbolic link is not a path",
                ));
            }
            Ok(Some(target.into_boxed_slice()))
        }
        (Kind::Symlink, None) => Err(Violation::new("a symbolic link has no target")),
        (_, Some(_)) => Err(Violation::new(
            "something that is no symbolic link has a target",
        )),
        (_, None) => Ok(None),
    }
}

fn time(seconds: i64, nanoseconds: u32) -> Result<Time, Violation> {
    if nanoseconds > 999_999_999 {
        return Err(Violation::new("a time has more nanoseconds than a second"));
    }
    Ok(Time {
        seconds,
        nanoseconds,
    })
}

fn xattrs_to_wire(xattrs: &Xattrs) -> XattrList {
    let attributes = xattrs.0.iter();
    let attributes = attributes.map(|(name, value)| Xattr {
        name: name.to_vec(),
        value: value.to_vec(),
    });
    XattrList {
        attributes: attributes.collect(),
    }
}

fn xattrs_from_wire(list: XattrList) -> Result<Xattrs, Violation> {
    let mut xattrs = Xattrs(Vec::with_capacity(list.attributes.len()));
    for Xattr { name, value } in list.attributes {
        if name.is_empty() || name.len() > XATTR_NAME_BYTES || name.contains(&0) {
            return Err(Violation::new(
                "the name of an extended attribute is not valid",
            ));
        }
        if value.len() > XATTR_VALUE_BYTES {
            return Err(Violation::new(
                "an extended attribute is longer than 64 KiB",
            ));
        }
        if xattrs.0.last().is_some_and(|(last, _)| **last >= *name) {
            return Err(Violation::new("extended attributes are not sorted"));
        }
        xattrs
            .0
            .push((name.into_boxed_slice(), value.into_boxed_slice()));
    }
    Ok(xattrs)
}

fn kind_to_wire(kind: Kind) -> EntryKind {
    match kind {
        Kind::File => EntryKind::File,
        Kind::Directory => EntryKind::Directory,
        Kind::Symlink => EntryKind::Symlink,
        Kind::Fifo => EntryKind::Fifo,
        Kind::Socket => EntryKind::Socket,
        Kind::CharDevice => EntryKind::CharDevice,
        Kind::BlockDevice => EntryKind::BlockDevice,
    }
}

fn kind_from_wire(kind: EntryKind) -> Result<Kind, Violation> {
    Ok(match kind {
        EntryKind::Unspecified => return Err(Violation::new("an entry has no known kind")),
        EntryKind::File => Kind::File,
        EntryKind::Directory => Kind::Directory,
        EntryKind::Symlink => Kind::Symlink,
        EntryKind::Fifo => Kind::Fifo,
        EntryKind::Socket => Kind::Socket,
        EntryKind::CharDevice => Kind::CharDevice,
        EntryKind::BlockDevice => Kind::BlockDevice,
    })
}

#[cfg(test)]
pub(crate) mod tests;

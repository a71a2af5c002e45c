//! The second judge: walks both trees side by side and compares every entry.
//!
//! Compared: names as bytes, type, mode, owner, group, length, content, holes, target, device number,
//! mtime (directories and symbolic links too), extended attributes with ACLs and capabilities, hard-link
//! groups and link counts. A leftover of Blit in the destination is a difference of its own.
//!
//! Not compared: atime, ctime, inode numbers, and the labels that belong to a host rather than to a tree.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;

use super::links::Links;
use super::{Difference, Options, What, holes};
use crate::error::{Error, Result};
use crate::walk::{Directory, join};
use crate::xattr;

/// Attributes that are not part of what is mirrored: a security module of the host sets the first three;
/// the others are how xfs shows its ACLs once more, besides the names that every file system has for them.
const OF_THE_HOST: [&[u8]; 5] = [
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"trusted.SGI_ACL_FILE",
    b"trusted.SGI_ACL_DEFAULT",
];

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Returns all differences; nothing for an exact mirror.
pub fn differences(
    source: &Path,
    destination: &Path,
    options: &Options,
) -> Result<Vec<Difference>> {
    let mut comparer = Comparer {
        options: *options,
        found: Vec::new(),
        links: Links::default(),
        buffers: [vec![0; BUFFER], vec![0; BUFFER]],
    };
    let mut at = Vec::new();
    let compared = (|| {
        let pair = Pair {
            source: Directory::open(source)?,
            destination: Directory::open(destination)?,
        };
        comparer.attributes(&[], &pair.source.path(), &pair.destination.path())?;
        comparer.directory(&pair, &mut at)
    })();
    compared.map_err(|error| Error::Path {
        action: "compare",
        path: format!(
            "{} of {} and {}",
            at.escape_ascii(),
            source.display(),
            destination.display()
        ),
        source: error,
    })?;
    let mut found = comparer.found;
    found.extend(comparer.links.finish());
    Ok(found)
}

/// The same directory on both sides.
struct Pair {
    source: Directory,
    destination: Directory,
}

struct Comparer {
    options: Options,
    found: Vec<Difference>,
    links: Links,
    buffers: [Vec<u8>; 2],
}

impl Comparer {
    fn report(&mut self, path: &[u8], what: What) {
        self.found.push(Difference {
            path: path.to_vec(),
            what,
        });
    }

    /// Compares what is in a directory; `at` is the path, and stays where an error happened.
    fn directory(&mut self, pair: &Pair, at: &mut Vec<u8>) -> io::Result<()> {
        let here = pair.source.names()?;
        let there = pair.destination.names()?;
        for name in there
            .iter()
            .filter(|name| here.binary_search(name).is_err())
        {
            let what = if is_ours(at, name) {
                What::Leftover
            } else {
                What::Extraneous
            };
            self.report(&join(at, name), what);
        }
        for name in here {
            let path = join(at, &name);
            if there.binary_search(&name).is_err() {
                self.report(&path, What::Missing);
                continue;
            }
            let parent = std::mem::replace(at, path);
            self.entry(pair, &name, at)?;
            *at = parent;
        }
        Ok(())
    }

    fn entry(&mut self, pair: &Pair, name: &[u8], at: &mut Vec<u8>) -> io::Result<()> {
        let (here, there) = (pair.source.at(name), pair.destination.at(name));
        let Some((source, destination)) = self.attributes(at, &here, &there)? else {
            return Ok(());
        };
        let kind = source.file_type();
        if kind.is_dir() {
            let below = Pair {
                source: pair.source.open_below(name)?,
                destination: pair.destination.open_below(name)?,
            };
            return self.directory(&below, at);
        }
        self.found.extend(self.links.add(at, &source, &destination));
        if kind.is_file() {
            return self.content(at, &here, &there, &source, &destination);
        }
        if kind.is_symlink() {
            let target =
                |path| Ok::<_, io::Error>(std::fs::read_link(path)?.into_os_string().into_vec());
            let (a, b) = (target(&here)?, target(&there)?);
            if a != b {
                self.report(at, What::Target(a, b));
            }
        }
        let is_device = kind.is_char_device() || kind.is_block_device();
        if is_device && source.rdev() != destination.rdev() {
            self.report(at, What::Device(source.rdev(), destination.rdev()));
        }
        Ok(())
    }

    /// Compares what entries of every type have; `None` if the types differ, where nothing else counts.
    fn attributes(
        &mut self,
        at: &[u8],
        here: &Path,
        there: &Path,
    ) -> io::Result<Option<(Metadata, Metadata)>> {
        /// `S_IFMT`: the bits of `st_mode` that tell the type.
        const TYPE: u32 = 0o170_000;
        let (a, b) = (
            std::fs::symlink_metadata(here)?,
            std::fs::symlink_metadata(there)?,
        );
        if a.mode() & TYPE != b.mode() & TYPE {
            self.report(at, What::Type(a.mode() & TYPE, b.mode() & TYPE));
            return Ok(None);
        }
        // Linux has no modes for symbolic links.
        if a.mode() != b.mode() && !a.file_type().is_symlink() {
            self.report(at, What::Mode(a.mode() & !TYPE, b.mode() & !TYPE));
        }
        if a.uid() != b.uid() {
            self.report(at, What::Uid(a.uid(), b.uid()));
        }
        if a.gid() != b.gid() {
            self.report(at, What::Gid(a.gid(), b.gid()));
        }
        if self.granule(&a) != self.granule(&b) {
            let times = ((a.mtime(), a.mtime_nsec()), (b.mtime(), b.mtime_nsec()));
            self.report(at, What::Mtime(times.0, times.1));
        }
        self.xattrs(at, here, there)?;
        Ok(Some((a, b)))
    }

    /// Returns the mtime in granules, rounded down as file systems do.
    fn granule(&self, metadata: &Metadata) -> i128 {
        let time = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        time.div_euclid(i128::from(self.options.time_granule))
    }

    fn xattrs(&mut self, at: &[u8], here: &Path, there: &Path) -> io::Result<()> {
        let (mut a, mut b) = (xattr::read(here)?, xattr::read(there)?);
        for name in OF_THE_HOST {
            a.remove(name);
            b.remove(name);
        }
        for (name, value) in &a {
            let other = b.remove(name);
            if other.as_ref() != Some(value) {
                self.report(at, What::Xattr(name.clone(), Some(value.clone()), other));
            }
        }
        for (name, value) in b {
            self.report(at, What::Xattr(name, None, Some(value)));
        }
        Ok(())
    }

    fn content(
        &mut self,
        at: &[u8],
        here: &Path,
        there: &Path,
        source: &Metadata,
        destination: &Metadata,
    ) -> io::Result<()> {
        if source.size() != destination.size() {
            self.report(at, What::Size(source.size(), destination.size()));
            return Ok(());
        }
        if source.size() == 0 {
            return Ok(());
        }
        let (a, b) = (File::open(here)?, File::open(there)?);
        if self.options.holes
            && let Some(offset) = holes::filled(&a, &b, source.size())?
        {
            self.report(at, What::Hole(offset));
        }
        if let Some(offset) = self.first_difference(&a, &b)? {
            self.report(at, What::Content(offset));
        }
        Ok(())
    }

    fn first_difference(&mut self, a: &File, b: &File) -> io::Result<Option<u64>> {
        let [left, right] = &mut self.buffers;
        let mut offset = 0;
        loop {
            let x = read_full(a, left, offset)?;
            let y = read_full(b, right, offset)?;
            if x != y {
                let same = x.iter().zip(y).take_while(|(x, y)| x == y).count();
                return Ok(Some(offset + same as u64));
            }
            if x.len() < BUFFER {
                return Ok(None);
            }
            offset += BUFFER as u64;
        }
    }
}

/// Reads from an offset until the buffer is full or the file ends; the file's own offset has been moved by
/// the search for holes.
fn read_full<'a>(file: &File, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset + length as u64)? {
            0 => break,
            n => length += n,
        }
    }
    Ok(&buffer[..length])
}

/// Whether a name that the source lacks is one of those that Blit makes for itself.
fn is_ours(parent: &[u8], name: &[u8]) -> bool {
    (parent.is_empty() && name == b".blit")
        || (name.starts_with(b".blit.") && name.ends_with(b".tmp"))
}

//! Where a root lies on its host, so that a tree is never copied into itself by way of a network.
//!
//! Within one process the engine compares the two roots by handle. Between two, each side tells the
//! inodes from its root upwards; on one boot of one kernel equal numbers are equal directories.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use blit_proto::v2;
use rustix::fs::{Mode, OFlags, fstat, major, minor, openat};
use rustix::io::Errno;

/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Most directories above a root: a path of 4,096 bytes has at most half as many.
const DEPTH: usize = 2048;

/// Place of a directory on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    boot_id: String,
    /// The directory, then its parents upwards: device and inode of each.
    chain: Vec<Place>,
}

type Place = ((u32, u32), u64);

/// How two roots that lie on one host collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overlap {
    /// They are one directory.
    #[error("source and destination are the same directory; choose another destination")]
    Same,
    /// The destination lies in the source.
    #[error("the destination is inside the source; choose a destination outside of it")]
    DestinationInside,
    /// The source lies in the destination.
    #[error("the source is inside the destination; choose a destination that does not hold it")]
    SourceInside,
}

impl Location {
    /// Looks where an open directory lies. Parents that may not be read end the chain.
    pub fn of(dir: BorrowedFd<'_>) -> io::Result<Self> {
        let boot_id = std::fs::read_to_string(BOOT_ID)?.trim().to_owned();
        let mut chain = vec![place(dir)?];
        let mut above = parent(dir);
        while let Ok(dir) = above
            && chain.len() < DEPTH
        {
            let next = place(dir.as_fd())?;
            // The top is its own parent.
            if chain.last() == Some(&next) {
                break;
            }
            chain.push(next);
            above = parent(dir.as_fd());
        }
        Ok(Self { boot_id, chain })
    }

    /// Compares the places of a source and a destination.
    pub fn overlap(source: &Self, destination: &Self) -> Option<Overlap> {
        let (from, to) = (source.chain.first()?, destination.chain.first()?);
        if source.boot_id.is_empty() || source.boot_id != destination.boot_id {
            None
        } else if from == to {
            Some(Overlap::Same)
        } else if destination.chain.contains(from) {
            Some(Overlap::DestinationInside)
        } else if source.chain.contains(to) {
            Some(Overlap::SourceInside)
        } else {
            None
        }
    }

    pub(crate) fn to_wire(&self) -> v2::Location {
        let chain = self
            .chain
            .iter()
            .map(|&((dev_major, dev_minor), ino)| v2::Inode {
                dev_major,
                dev_minor,
                ino,
            });
        v2::Location {
            boot_id: self.boot_id.clone(),
            chain: chain.collect(),
        }
    }

    pub(crate) fn from_wire(message: v2::Location) -> Self {
        let chain = message.chain.into_iter().take(DEPTH);
        let chain = chain
            .map(|inode| ((inode.dev_major, inode.dev_minor), inode.ino))
            .collect();
        Self {
            boot_id: message.boot_id,
            chain,
        }
    }
}

fn parent(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    openat(
        dir,
        c"..",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn place(dir: BorrowedFd<'_>) -> io::Result<Place> {
    let stat = fstat(dir)?;
    Ok(((major(stat.st_dev), minor(stat.st_dev)), stat.st_ino))
}

#[cfg(test)]
mod tests;

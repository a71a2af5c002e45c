//! The file systems of the matrix, and how each is made.

use std::path::Path;
use std::process::Command;

use super::tool;
use crate::error::Result;

/// File systems that an area can have of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with blocks of 4 KiB: no reflinks.
    Ext4,
    /// ext4 with inodes of 128 bytes: whole seconds, none before 1901 or after 2038.
    Ext4WholeSeconds,
    /// xfs: reflinks.
    Xfs,
    /// btrfs: reflinks, device numbers of its own, inline files.
    Btrfs,
    /// In memory: no reflinks, no device below.
    Tmpfs,
}

/// All of them.
pub const ALL: [FileSystem; 5] = [
    FileSystem::Ext4,
    FileSystem::Ext4WholeSeconds,
    FileSystem::Xfs,
    FileSystem::Btrfs,
    FileSystem::Tmpfs,
];

impl FileSystem {
    /// Returns nanoseconds to which it cuts times.
    pub fn time_granule(self) -> u32 {
        match self {
            Self::Ext4WholeSeconds => 1_000_000_000,
            Self::Ext4 | Self::Xfs | Self::Btrfs | Self::Tmpfs => 1,
        }
    }

    /// Returns the name under which the kernel mounts it.
    pub(super) fn kernel_name(self) -> &'static str {
        match self {
            Self::Ext4 | Self::Ext4WholeSeconds => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// Makes an empty one in an image.
    pub(super) fn make_in(self, image: &Path) -> Result<()> {
        match self {
            Self::Ext4 => ext4(image, &[]),
            Self::Ext4WholeSeconds => ext4(image, &["-I", "128"]),
            Self::Xfs => tool(Command::new("mkfs.xfs").arg("-q").arg(image), "xfsprogs"),
            Self::Btrfs => tool(
                Command::new("mkfs.btrfs").arg("-q").arg(image),
                "btrfs-progs",
            ),
            Self::Tmpfs => Ok(()),
        }
    }
}

fn ext4(image: &Path, more: &[&str]) -> Result<()> {
    tool(
        Command::new("mkfs.ext4")
            // The image is all zeroes: the kernel need not write its tables first.
            .args(["-q", "-b", "4096", "-E", "assume_storage_prezeroed=1"])
            // After an error of its own it is read-only, as most are set up.
            .args(["-e", "remount-ro"])
            .args(more)
            .arg(image),
        "e2fsprogs",
    )
}

//! The kinds of file systems on both sides of a run.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Names of file systems by their magic number (`linux/magic.h` and the sources of those that are not in it).
const KINDS: [(u32, &str); 17] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlay"),
    (0x6969, "nfs"),
    (0x00C3_6400, "ceph"),
    (0x6573_5546, "fuse"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb"),
    (0x2FC1_2FC1, "zfs"),
    (0x4D44, "vfat"),
    (0x2011_BAB0, "exfat"),
    (0xF2F5_2010, "f2fs"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x0102_1997, "9p"),
];

/// Where a run read and wrote, without names.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSystems {
    /// Kind of the source's file system; its magic number where it has no name here, empty if unknown.
    pub source: String,
    /// Kind of the destination's.
    pub destination: String,
    /// Both are one file system, so that content can be shared or moved by the kernel.
    pub same: bool,
}

impl FileSystems {
    /// Asks the kernel about two existing files or directories.
    pub fn of(source: &Path, destination: &Path) -> Self {
        let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
        let (from, to) = (device(source), device(destination));
        Self {
            source: kind_at(source),
            destination: kind_at(destination),
            same: from.is_some() && from == to,
        }
    }

    /// Returns both kinds in one word.
    pub fn name(&self) -> String {
        let kind = |kind: &str| {
            if kind.is_empty() {
                "?".to_owned()
            } else {
                kind.to_owned()
            }
        };
        if self.same {
            format!("{} (same)", kind(&self.destination))
        } else {
            format!("{} > {}", kind(&self.source), kind(&self.destination))
        }
    }
}

/// Returns the kind of the file system that holds a path, and an empty string if it cannot be asked.
pub fn kind_at(path: &Path) -> String {
    rustix::fs::statfs(path).map_or_else(|_| String::new(), |found| kind(i128::from(found.f_type)))
}

fn kind(magic: i128) -> String {
    // The type of the field differs between machines, the number has 32 bits.
    let magic = (magic & 0xFFFF_FFFF) as u32;
    KINDS
        .iter()
        .find(|(number, _)| *number == magic)
        .map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_have_names_and_else_numbers() {
        assert_eq!(kind(0xEF53), "ext4");
        // As some machines return it, with the sign of a 32-bit number.
        assert_eq!(kind(i128::from(0x9123_683E_u32.cast_signed())), "btrfs");
        assert_eq!(kind(0x1234), "0x1234");
        assert_eq!(kind_at(Path::new("/proc/self/no-such-file")), "");
    }

    #[test]
    fn one_file_system_is_known_as_one() {
        let work = tempfile::tempdir().unwrap();
        let places = FileSystems::of(work.path(), work.path());
        assert!(places.same);
        assert_eq!(places.name(), format!("{} (same)", places.source));
        let places = FileSystems::of(Path::new("/proc"), Path::new("/no such directory"));
        assert!(!places.same);
    }
}

//! What this process may keep of a file: owner, devices, attributes of the privileged name spaces.

use rustix::fs::FsWord;

use super::Dir;

/// `CAP_CHOWN` of `linux/capability.h`.
const CAP_CHOWN: u32 = 0;
/// `CAP_FOWNER`: modes and times of files of others.
const CAP_FOWNER: u32 = 3;
/// `CAP_SYS_ADMIN`: `trusted.*` attributes.
const CAP_SYS_ADMIN: u32 = 21;
/// `CAP_MKNOD`.
const CAP_MKNOD: u32 = 27;
/// `CAP_SETFCAP`: `security.capability`.
const CAP_SETFCAP: u32 = 31;

/// Names that an inode can have on every file system that [`most_names`] knows.
pub const CROWD: u32 = 65_000;

/// What can be kept. Probed once; a file system may still refuse, which is noted where it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    /// Owner and group can be set to any number.
    pub chown: bool,
    /// Groups the process may give its own files to.
    pub groups: Vec<u32>,
    /// Modes and times of files of others can be set.
    pub owner_override: bool,
    /// Device nodes can be made.
    pub devices: bool,
    /// `trusted.*` attributes can be set.
    pub trusted: bool,
    /// `security.capability` can be set.
    pub capability: bool,
    /// Devices, set-id bits and `security.capability` may be written at all.
    pub special_files: bool,
    /// User of the process.
    pub uid: u32,
    /// What replaces the source's owners.
    pub owner: OwnerMap,
}

/// Owner and group that everything gets instead of the source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerMap {
    /// Owner; the source's if there is none here.
    pub uid: Option<u32>,
    /// Group; the source's if there is none here.
    pub gid: Option<u32>,
}

impl Ability {
    /// Reads the capabilities and groups of this thread.
    pub fn probe() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let effective = effective_capabilities().unwrap_or(if uid == 0 { u64::MAX } else { 0 });
        let has = |capability: u32| effective & (1 << capability) != 0;
        let mut groups: Vec<u32> = rustix::process::getgroups()
            .unwrap_or_default()
            .iter()
            .map(|g| g.as_raw())
            .collect();
        groups.push(rustix::process::getegid().as_raw());
        Self {
            chown: has(CAP_CHOWN),
            groups,
            owner_override: has(CAP_FOWNER),
            devices: has(CAP_MKNOD),
            trusted: has(CAP_SYS_ADMIN),
            capability: has(CAP_SETFCAP),
            special_files: true,
            uid,
            owner: OwnerMap::default(),
        }
    }

    /// Leaves out what gives rights to those who open or run a file, whatever the process could do.
    #[must_use]
    pub fn without_special_files(self) -> Self {
        Self {
            devices: false,
            special_files: false,
            ..self
        }
    }

    /// Returns true if a file can be given this group.
    pub fn can_chgrp(&self, gid: u32) -> bool {
        self.chown || self.groups.contains(&gid)
    }
}

/// Returns how many names an inode can have where a directory is, if that is known and not as good as unlimited:
/// `EXT4_LINK_MAX` of fs/ext4/ext4.h, `BTRFS_LINK_MAX` of fs/btrfs/fs.h. (`pathconf` of C libraries does not know btrfs.)
pub fn most_names(dir: &Dir) -> Option<u32> {
    const EXT4: FsWord = 0xef53;
    const BTRFS: FsWord = 0x9123_683e;
    match rustix::fs::fstatfs(dir).ok()?.f_type {
        EXT4 => Some(CROWD),
        BTRFS => Some(65_535),
        _ => None,
    }
}

fn effective_capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

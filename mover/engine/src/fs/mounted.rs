//! Which mounting of a file system a directory is on, so that a later process can tell whether what was in
//! memory may have been lost in between.
//!
//! A machine that went down has another boot id. But a file system can also go down alone: after an error of
//! its disk, or when a volume is taken away and given back. Then the boot id says nothing. The object that
//! the kernel keeps for a mounted file system in `/sys/fs` does: it is made with the mount, and its inode
//! number is never used twice. It is the same however many bind mounts and containers show the file system.
//!
//! Limit: file systems on a block device that have such an object, which are ext4, xfs and f2fs.

use rustix::fs::Stat;

/// Where a kernel keeps the objects of mounted file systems, by kind.
const KINDS: [&str; 3] = ["ext4", "xfs", "f2fs"];

/// Returns what is the same for as long as the file system on device `(major, minor)` stays mounted, and
/// empty where the kernel does not tell.
pub fn mounted((major, minor): (u32, u32)) -> String {
    let Ok(device) = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")) else {
        return String::new();
    };
    let Some(name) = device.file_name().and_then(|name| name.to_str()) else {
        return String::new();
    };
    let object =
        |kind: &&str| -> Option<Stat> { rustix::fs::stat(format!("/sys/fs/{kind}/{name}")).ok() };
    let found = KINDS
        .iter()
        .find_map(|kind| Some((kind, object(kind)?.st_ino)));
    found.map_or_else(String::new, |(kind, number)| {
        format!("{kind}/{name}/{number}")
    })
}

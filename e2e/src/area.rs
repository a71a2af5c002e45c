//! Work areas: a directory on a real file system that exists for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::error::{Context, Error, Result};

mod file_system;

pub use file_system::{ALL, FileSystem};

/// Size of an image in bytes: room for two copies of /usr. It is sparse: only what a test writes takes space.
const IMAGE: u64 = 24 << 30;

/// A directory for one test. Dropping it unmounts and removes everything.
#[derive(Debug)]
pub struct Area {
    root: PathBuf,
    mounted: bool,
    /// File system of its own, if it has one.
    file_system: Option<FileSystem>,
    /// Removed last, after the unmount.
    home: TempDir,
}

impl Area {
    /// Makes an area in the system's folder for temporary files, for trees too large for an image.
    pub fn plain() -> Result<Self> {
        let home = home()?;
        let root = home.path().join("area");
        std::fs::create_dir(&root).context("make", &root)?;
        Ok(Self {
            root,
            mounted: false,
            file_system: None,
            home,
        })
    }

    /// Makes an area on a fresh file system of its own: in an image on a loop device, or in memory.
    pub fn on(file_system: FileSystem) -> Result<Self> {
        Self::of_size(file_system, IMAGE)
    }

    /// As [`on`](Self::on), with a size in bytes of its own: small enough to be filled.
    pub fn of_size(file_system: FileSystem, size: u64) -> Result<Self> {
        let home = home()?;
        let root = home.path().join("mount");
        std::fs::create_dir(&root).context("make", &root)?;
        let mut area = Self {
            root,
            mounted: false,
            file_system: Some(file_system),
            home,
        };
        if file_system == FileSystem::Tmpfs {
            tool(
                Command::new("mount")
                    .args(["-t", "tmpfs", "-o", &format!("size={size}"), "blit-test"])
                    .arg(&area.root),
                "mount",
            )?;
            area.mounted = true;
        } else {
            let image = area.image();
            let file = std::fs::File::create_new(&image).context("make", &image)?;
            file.set_len(size).context("extend", &image)?;
            file_system.make_in(&image)?;
            area.mount()?;
        }
        // Tests compare whole trees and start from an empty directory.
        let _ = std::fs::remove_dir(area.root.join("lost+found"));
        Ok(area)
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the path of a name in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the file system read-only, or writable again.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let option = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        tool(
            Command::new("mount").args(["-o", option]).arg(&self.root),
            "mount",
        )
    }

    /// Makes the file system find an error in itself, upon which it becomes read-only in the middle of whatever
    /// is done. Works on ext4.
    pub fn break_down(&self) -> Result<()> {
        let found = nix::sys::stat::stat(&self.root).context("look at", &self.root)?;
        let (major, minor) = (
            nix::sys::stat::major(found.st_dev),
            nix::sys::stat::minor(found.st_dev),
        );
        let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        let device = std::fs::canonicalize(&device).context("resolve", &device)?;
        let name = device.file_name().unwrap_or_default();
        let trigger = Path::new("/sys/fs/ext4")
            .join(name)
            .join("trigger_fs_error");
        std::fs::write(&trigger, "broken by a test of Blit").context("write", &trigger)
    }

    /// Takes the power away: from now on every call fails, and what had not reached the image never does.
    /// With `log`, the journal reaches it, and so names, sizes and times without their content.
    ///
    /// Works on ext4 and xfs, which have an ioctl for it (`GOINGDOWN`).
    pub fn lose_power(&self, log: bool) -> Result<()> {
        let command = if log { "shutdown -f" } else { "shutdown" };
        tool(
            Command::new("xfs_io")
                .args(["-x", "-c", command])
                .arg(&self.root),
            "xfsprogs",
        )
    }

    /// As [`lose_power`](Self::lose_power) on btrfs, which has no such call: what has reached the image is all that
    /// [`restore_power`](Self::restore_power) finds. As the machine goes down with it, whoever wrote must be gone.
    pub fn lose_machine(&self, log: bool) -> Result<()> {
        if log {
            // Who deletes a subvolume can wait for the end of the transaction, which waits for no content of files.
            let subvolume = self.root.join("subvolume");
            for act in [&["create"][..], &["delete", "--commit-after"]] {
                tool(
                    Command::new("btrfs")
                        .args(["-q", "subvolume"])
                        .args(act)
                        .arg(&subvolume),
                    "btrfs-progs",
                )?;
            }
        }
        self.copy_image()
    }

    /// Gives the power back: mounts again what the image holds, as after a start of the machine.
    pub fn restore_power(&mut self) -> Result<()> {
        let copy = self.copy();
        let is_copied = copy.exists();
        umount2(&self.root, MntFlags::empty()).context("unmount", &self.root)?;
        self.mounted = false;
        // A copy, as if the disk were put into another machine: namespaces of others that were made while
        // the area was mounted keep the old file system, and its image, alive.
        if !is_copied {
            self.copy_image()?;
        }
        std::fs::rename(&copy, self.image()).context("rename", &copy)?;
        self.mount()
    }

    fn copy_image(&self) -> Result<()> {
        tool(
            Command::new("cp")
                .args(["--sparse=always", "--"])
                .arg(self.image())
                .arg(self.copy()),
            "coreutils",
        )
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn copy(&self) -> PathBuf {
        self.home.path().join("copy")
    }

    fn mount(&mut self) -> Result<()> {
        let mut command = Command::new("mount");
        command.args(["-o", "loop"]);
        if let Some(file_system) = self.file_system {
            // Named, so that a kernel that lacks it says so.
            command.args(["-t", file_system.kernel_name()]);
            if file_system == FileSystem::Xfs {
                // See `restore_power`: the original may still be mounted somewhere.
                command.args(["-o", "nouuid"]);
            }
            if file_system == FileSystem::Btrfs {
                // See `lose_machine`: no transaction ends by itself while the image is copied.
                command.args(["-o", "commit=3600"]);
            }
        }
        tool(command.arg(self.image()).arg(&self.root), "mount")?;
        self.mounted = true;
        Ok(())
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // A process that a failed test left behind may still use it: then it goes when that ends.
        if self.mounted && umount2(&self.root, MntFlags::empty()).is_err() {
            let _ = umount2(&self.root, MntFlags::MNT_DETACH);
        }
    }
}

/// Fails with a clear message unless the test runs as root: owners, devices, images need it.
pub fn require_root() -> Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    Err(Error::Machine(
        "these tests make devices, owners and mounts: run them as root".into(),
    ))
}

fn home() -> Result<TempDir> {
    require_root()?;
    let place = std::env::temp_dir();
    let home = tempfile::Builder::new()
        .prefix("blit-test-")
        .tempdir_in(&place);
    let home = home.context("make a folder in", &place)?;
    let kind = nix::sys::statfs::statfs(home.path()).context("look at", home.path())?;
    if kind.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC {
        return Err(Error::Machine(format!(
            "{} is in memory: set TMPDIR to a folder on a disk",
            place.display()
        )));
    }
    Ok(home)
}

/// Runs a program that must succeed.
fn tool(command: &mut Command, package: &'static str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start {
        program,
        package,
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Tool {
        program: format!("{command:?}"),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests;

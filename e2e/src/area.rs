//! Work areas: a directory on a real file system that exists for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::error::{Context, Error, Result};

/// Size of an image in bytes: room for two copies of /usr. It is sparse: only what a test writes takes space.
const IMAGE: u64 = 24 << 30;

/// A directory for one test. Dropping it unmounts and removes everything.
#[derive(Debug)]
pub struct Area {
    root: PathBuf,
    mounted: bool,
    /// Removed last, after the unmount.
    _home: TempDir,
}

/// File systems that an area can have of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with blocks of 4 KiB: no reflinks.
    Ext4,
    /// xfs: reflinks.
    Xfs,
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
            _home: home,
        })
    }

    /// Makes an area on a fresh file system of its own, in an image on a loop device.
    pub fn on(file_system: FileSystem) -> Result<Self> {
        let home = home()?;
        let root = home.path().join("mount");
        std::fs::create_dir(&root).context("make", &root)?;
        let image = home.path().join("image");
        let file = std::fs::File::create_new(&image).context("make", &image)?;
        file.set_len(IMAGE).context("extend", &image)?;
        match file_system {
            FileSystem::Ext4 => {
                tool(
                    Command::new("mkfs.ext4")
                        // The image is all zeroes: the kernel need not write its tables first.
                        .args(["-q", "-b", "4096", "-E", "assume_storage_prezeroed=1"])
                        .arg(&image),
                    "e2fsprogs",
                )?;
            }
            FileSystem::Xfs => {
                tool(Command::new("mkfs.xfs").arg("-q").arg(&image), "xfsprogs")?;
            }
        }
        tool(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&root),
            "mount",
        )?;
        let area = Self {
            root,
            mounted: true,
            _home: home,
        };
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

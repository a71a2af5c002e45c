//! `--one-file-system` between hosts: what is mounted in either tree is left alone as `rsync -x` leaves it, and nothing is wrong then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{Finished, run};

use crate::blit::{blit, summary};
use crate::machine;
use crate::serve::{Daemon, token};

/// How the tree goes from one side to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Local,
    Push,
    Pull,
}

const WAYS: [Way; 3] = [Way::Local, Way::Push, Way::Pull];

/// Something mounted, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Shows a directory at another place as well.
    fn bind(what: &Path, at: &Path) -> Self {
        Self::with(Command::new("mount").arg("--bind").arg(what), at)
    }

    /// Mounts an empty file system in memory.
    fn empty(at: &Path) -> Self {
        let mut command = Command::new("mount");
        Self::with(command.args(["-t", "tmpfs", "blit-test"]), at)
    }

    #[track_caller]
    fn with(command: &mut Command, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let done = command.arg(at).output().unwrap();
        assert!(done.status.success(), "{command:?}: {done:?}");
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Also where the test has failed, and somebody is still in there.
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.unwrap().success() || std::thread::panicking());
    }
}

fn put(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
}

/// Returns the paths below a directory.
fn paths(root: &Path) -> Vec<String> {
    let found = Command::new("find")
        .arg(root)
        .args(["-printf", "%P\n"])
        .output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    let mut paths: Vec<String> = found.lines().map(str::to_owned).collect();
    paths.sort();
    paths
}

/// A tree, and two destinations in the same state: one for Blit, one for rsync.
struct Setting {
    way: Way,
    area: Area,
    daemon: Option<Daemon>,
}

impl Setting {
    fn new(way: Way) -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let served = match way {
            Way::Local => None,
            Way::Push => Some("ours"),
            Way::Pull => Some("source"),
        };
        let daemon = served.map(|served| {
            let work = tempfile::tempdir().unwrap();
            fs::create_dir(area.join(served)).unwrap();
            std::os::unix::fs::symlink(area.join(served), work.path().join("root")).unwrap();
            Daemon::start_in(work, &[])
        });
        Self { way, area, daemon }
    }

    fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    fn destinations(&self) -> [PathBuf; 2] {
        ["ours", "theirs"].map(|name| self.area.join(name))
    }

    /// Mirrors with both programs.
    fn mirror(&self) -> Finished {
        let [ours, theirs] = self.destinations();
        let mut rsync = Command::new("rsync");
        rsync.args(["-aHAXx", "--delete", "--modify-window=-1"]);
        rsync.arg(self.source().join("")).arg(theirs.join(""));
        let done = rsync.output().unwrap();
        assert!(done.status.success(), "{done:?}");
        let url = self.daemon.as_ref().map(|daemon| daemon.url(""));
        let (source, url) = (self.source(), url.unwrap_or_default());
        let [source, ours] = [&source, &ours].map(|path| path.to_str().unwrap());
        let operands = match self.way {
            Way::Local => [source, ours],
            Way::Push => [source, &url],
            Way::Pull => [&url, ours],
        };
        let mut command = blit(&["mirror", "-x", "--json", "--max-delete", "100%"]);
        command.args(operands);
        if let Some(daemon) = &self.daemon {
            command.env("BLIT_TOKEN", token(&daemon.identity(), &[]));
        }
        run(command).unwrap()
    }
}

#[test]
fn what_is_mounted_in_the_source_stays_outside_and_nothing_is_deleted_there() {
    let _shared = machine::shared();
    let other = Area::on(FileSystem::Ext4).unwrap();
    put(&other.join("bound"));
    for way in WAYS {
        let setting = Setting::new(way);
        let source = setting.source();
        for name in ["a", "dir/b"] {
            put(&source.join(name));
        }
        let _mounted = [
            Mounted::empty(&source.join("mounted")),
            Mounted::bind(other.path(), &source.join("dir/mounted")),
            Mounted::empty(&source.join("new/mounted")),
        ];
        for name in [
            "mounted/inside",
            "mounted/below/inside",
            "new/mounted/inside",
        ] {
            put(&source.join(name));
        }
        for destination in setting.destinations() {
            for name in [
                "extraneous",
                "dir/extraneous/c",
                "mounted/mine",
                "dir/mounted/mine/d",
            ] {
                put(&destination.join(name));
            }
        }
        // Twice: the second finds its own work.
        for copied in [2, 0] {
            let finished = setting.mirror();
            assert!(finished.code == Some(0), "{way:?}: {}", finished.stderr());
            let told = summary(&finished);
            let figures =
                ["filesCopied", "filesFailed", "deletionsWithheld"].map(|name| &told[name]);
            assert_eq!(figures, [copied, 0, 0], "{way:?}: {told}");
            let [ours, theirs] = setting.destinations();
            assert!(!ours.join("extraneous").exists() && ours.join("mounted/mine").exists());
            assert_eq!(paths(&ours), paths(&theirs), "{way:?}");
        }
        // Without what was there before, and has times of its own in each, they are the same in all that there is.
        let [ours, theirs] = setting.destinations();
        for name in ["mounted/mine", "dir/mounted/mine/d"] {
            for destination in [&ours, &theirs] {
                fs::remove_file(destination.join(name)).unwrap();
            }
        }
        for destination in [&ours, &theirs] {
            fs::remove_dir(destination.join("dir/mounted/mine")).unwrap();
        }
        setting.mirror().expect_code(0);
        oracle::assert_mirrored(&theirs, &ours);
    }
}

#[test]
fn what_is_mounted_in_a_directory_that_has_to_go_stays_with_all_that_is_in_it() {
    let _shared = machine::shared();
    for way in WAYS {
        let setting = Setting::new(way);
        put(&setting.source().join("a"));
        let destinations = setting.destinations();
        let _mounted = destinations.each_ref().map(|destination| {
            put(&destination.join("gone/other"));
            let mounted = Mounted::empty(&destination.join("gone/mounted"));
            put(&destination.join("gone/mounted/below/inside"));
            mounted
        });
        let finished = setting.mirror();
        // What stands in the way of a mirror is told.
        assert!(
            finished.code == Some(11),
            "{way:?}: {:?} {}",
            finished.code,
            finished.stderr()
        );
        let [ours, theirs] = destinations
            .each_ref()
            .map(|destination| paths(destination));
        assert!(ours.iter().any(|path| path == "gone/mounted/below/inside"));
        assert_eq!(ours, theirs, "{way:?}");
    }
}

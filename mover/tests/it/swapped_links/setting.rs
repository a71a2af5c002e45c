//! The trees whose names are swapped, and the canary outside of them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, lgetxattr, mknodat, setxattr};

use crate::blit::{Mirror, Way};

/// Directories of each kind, and files at the top.
pub(super) const EACH: usize = 12;

/// What is in the canary's files, and in no other.
const CANARY: &str = "canary";

/// An attribute that the canary's files have, and no other.
const CANARYS: &str = "user.canary";

/// An attribute that the source gives to what the destination has or gets, and that the canary does not have.
pub(super) const WANTED: &str = "trusted.wanted";

/// Mode and owner that the source gives, and the canary does not have.
const MODE: u32 = 0o640;
const OWNER: u32 = 1;

/// The end whose names are swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// A source, a destination that differs from it in every way, and the canary.
pub(super) struct Setting {
    area: Area,
    pub(super) end: End,
}

impl Setting {
    pub(super) fn new(end: End) -> Self {
        // In memory names are exchanged ten times as often as on a disk.
        let area = Area::on(FileSystem::Tmpfs).unwrap();
        let setting = Self { area, end };
        setting.fill_canary();
        setting.fill();
        setting
    }

    pub(super) fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    pub(super) fn destination(&self) -> PathBuf {
        self.area.join("destination")
    }

    pub(super) fn canary(&self) -> PathBuf {
        self.area.join("canary")
    }

    /// Where the links are that names are exchanged for.
    pub(super) fn links(&self) -> PathBuf {
        self.area.join("links")
    }

    /// Where calls are recorded.
    pub(super) fn record(&self) -> PathBuf {
        self.area.join("record")
    }

    /// The tree whose names are swapped.
    pub(super) fn swapped(&self) -> PathBuf {
        match self.end {
            End::Source => self.source(),
            End::Destination => self.destination(),
        }
    }

    /// A mirror of the trees.
    pub(super) fn command(&self, way: Way) -> Command {
        let (source, destination) = (self.source(), self.destination());
        let mirror = Mirror {
            way,
            source: &source,
            destination: &destination,
            work: self.area.path(),
        };
        mirror.command()
    }

    /// What a link leads to that takes the place of a name: something of the same kind, if there is any.
    pub(super) fn target(&self, name: &str, kind: FileType) -> PathBuf {
        match (name, kind) {
            // The program takes no folder for its own that holds something else.
            (".blit", _) => self.canary().join("empty"),
            (_, FileType::Directory) => self.canary(),
            (_, FileType::Fifo) => self.canary().join("fifo"),
            _ => self.canary().join("file"),
        }
    }

    /// Makes the canary anew. It has every name that the destination may remove or replace, so that whoever comes to
    /// it by mistake finds something, and none that the source alone has, so that whatever is made in it shows.
    pub(super) fn fill_canary(&self) {
        let canary = self.canary();
        remove(&canary);
        for below in ["", "sub", "gone-sub", "empty"] {
            let directory = canary.join(below);
            fs::create_dir(&directory).unwrap();
            if below == "empty" {
                continue;
            }
            for name in [
                "older",
                "attributes",
                "hard",
                "gone",
                "file",
                "inner",
                "lock",
                "state",
            ] {
                let file = directory.join(name);
                fs::write(&file, CANARY).unwrap();
                setxattr(&file, CANARYS, b"1", XattrFlags::empty()).unwrap();
            }
        }
        fifo(&canary.join("fifo"));
        symlink(CANARY, canary.join("link")).unwrap();
    }

    /// Makes both trees anew, and an empty folder for links.
    pub(super) fn fill(&self) {
        let (source, destination) = (self.source(), self.destination());
        for tree in [&source, &destination, &self.links()] {
            remove(tree);
            fs::create_dir(tree).unwrap();
        }
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for n in 0..EACH {
            // On both ends.
            let here = source.join(format!("d{n}"));
            let there = destination.join(format!("d{n}"));
            for directory in [&here, &there] {
                fs::create_dir(directory).unwrap();
                write(&directory.join("attributes"), "same", past);
            }
            fs::create_dir(here.join("sub")).unwrap();
            for name in ["new", "older", "hard", "sub/inner"] {
                write(&here.join(name), "source", past);
            }
            write(&there.join("older"), "destination", past);
            fs::hard_link(here.join("hard"), source.join(format!("hard{n}"))).unwrap();
            let changed = there.join("attributes");
            chown(&changed, Some(2), Some(2)).unwrap();
            setxattr(&changed, "user.other", b"1", XattrFlags::empty()).unwrap();
            give(&here.join("attributes"));
            write(&source.join(format!("f{n}")), "source", past);
            // Not in the destination.
            let new = source.join(format!("n{n}"));
            fs::create_dir_all(new.join("new-sub")).unwrap();
            for name in ["new", "new-hard", "new-sub/inner"] {
                write(&new.join(name), "source", past);
            }
            fs::hard_link(new.join("new-hard"), new.join("new-other")).unwrap();
            for directory in [&here, &new] {
                let node = directory.join("new-fifo");
                fifo(&node);
                give(&node);
                // Of one that leads nowhere nothing would stay where links are followed.
                let link = directory.join("new-link");
                symlink(".", &link).unwrap();
                lchown(&link, Some(OWNER), Some(OWNER)).unwrap();
            }
            // Not in the source. What may not be written is made so before something in it is removed.
            let gone = destination.join(format!("x{n}"));
            fs::create_dir_all(gone.join("gone-sub")).unwrap();
            for name in ["gone", "gone-sub/gone"] {
                write(&gone.join(name), "gone", past);
            }
            let mode = if n % 2 == 0 { 0o500 } else { 0o755 };
            fs::set_permissions(&gone, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Returns entries of the destination that hold what only the canary has.
pub(super) fn leaked(setting: &Setting) -> Vec<String> {
    let mut found = Vec::new();
    each(&setting.destination(), &mut |path, meta| {
        let has_content = || fs::read(path).unwrap() == CANARY.as_bytes();
        let has_attribute = || lgetxattr(path, CANARYS, &mut [0; 8][..]).is_ok();
        if meta.is_file() && (has_content() || has_attribute()) {
            found.push(format!("{} has what is outside", path.display()));
        }
    });
    found
}

/// Looks at every entry below a directory.
pub(super) fn each(directory: &Path, look: &mut dyn FnMut(&Path, fs::Metadata)) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let is_directory = meta.is_dir();
        look(&path, meta);
        if is_directory {
            each(&path, look);
        }
    }
}

/// Gives an entry attributes that the canary does not have.
fn give(path: &Path) {
    chown(path, Some(OWNER), Some(OWNER)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).unwrap();
    setxattr(path, WANTED, b"1", XattrFlags::empty()).unwrap();
}

fn remove(tree: &Path) {
    match fs::remove_dir_all(tree) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
    }
}

fn write(path: &Path, content: &str, time: SystemTime) {
    fs::write(path, content).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

//! A directory of thousands of files that was there before: on xfs each thread makes its files in a folder of its own, of which
//! nobody finds anything afterwards, and which changes nothing of what the files are. Where folders do not work files are made as
//! in any directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{run, start};
use blit_e2e::sandbox::{self, Refused};
use nix::sys::signal::Signal;

use crate::blit::{Mirror, NOBODY, Way, as_nobody, summary};
use crate::machine;

const FILES: usize = 6000;

fn fill(root: &Path, content: &str) {
    for number in 0..FILES {
        fs::write(
            root.join(format!("file-{number}")),
            format!("{content} {number}"),
        )
        .unwrap();
    }
}

/// Folders of a run that is under way, or of one that was cut off.
fn folders(root: &Path) -> usize {
    let is_folder = |entry: &fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        name.starts_with(".blit.") && name.ends_with(".tmp") && entry.path().is_dir()
    };
    fs::read_dir(root)
        .unwrap()
        .flatten()
        .filter(is_folder)
        .count()
}

fn mirrored(way: Way) {
    let area = Area::on(FileSystem::Xfs).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&destination).unwrap();
    fill(&source, "first");
    // What is made in the destination inherits a group and an ACL, and the source has neither.
    nix::unistd::chown(&destination, None, Some(4242.into())).unwrap();
    fs::set_permissions(&destination, fs::Permissions::from_mode(0o2770)).unwrap();
    let mut inherit = Command::new("setfacl");
    inherit.args(["-d", "-m", "u:4343:rwx"]).arg(&destination);
    run(inherit).unwrap().expect_code(0);
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    for content in ["first", "other"] {
        fill(&source, content);
        let killed = start(mirror.command()).unwrap();
        let seen = killed
            .wait_until("folders", || folders(&destination) > 0)
            .unwrap();
        assert!(
            seen,
            "{way:?}: files of {content:?} were not made in folders"
        );
        killed.signal(Signal::SIGKILL);
        killed.finish().unwrap();
        mirror.complete();
        oracle::assert_mirrored(&source, &destination);
        assert_eq!(folders(&destination), 0);
    }
    assert_eq!(mirror.complete()["fastPath"], "inSync");
}

#[test]
fn files_of_a_wide_directory_on_xfs_are_made_in_folders_that_go() {
    let _shared = machine::shared();
    mirrored(Way::Local);
}

#[test]
fn files_that_arrive_in_a_wide_directory_on_xfs_are_made_in_folders_that_go() {
    let _shared = machine::shared();
    mirrored(Way::Run);
}

/// A tree whose directory `wide` is there, and its files are not.
fn wide(area: &Area) -> (PathBuf, PathBuf) {
    let (source, destination) = (area.join("source"), area.join("destination"));
    for root in [&source, &destination] {
        fs::create_dir_all(root.join("wide")).unwrap();
    }
    fill(&source.join("wide"), "first");
    (source, destination)
}

#[track_caller]
fn tool(name: &str, arguments: &[&str], path: &Path) {
    let mut command = Command::new(name);
    command.args(arguments).arg(path);
    run(command).unwrap().expect_code(0);
}

#[track_caller]
fn has_all_and_no_folder(wide: &Path) {
    assert_eq!(fs::read_dir(wide).unwrap().count(), FILES);
    for number in 0..FILES {
        let content = fs::read_to_string(wide.join(format!("file-{number}"))).unwrap();
        assert_eq!(content, format!("first {number}"));
    }
}

#[test]
fn new_files_get_into_a_wide_directory_that_names_can_only_be_added_to() {
    let _shared = machine::shared();
    for way in [Way::Local, Way::Run] {
        let area = Area::on(FileSystem::Xfs).unwrap();
        let (source, destination) = wide(&area);
        tool("chattr", &["+a"], &destination.join("wide"));
        let mirror = Mirror {
            way,
            source: &source,
            destination: &destination,
            work: area.path(),
        };
        mirror.complete();
        has_all_and_no_folder(&destination.join("wide"));
        assert!(!destination.join(".blit").exists());
    }
}

#[test]
fn new_files_get_into_a_wide_directory_that_hands_down_a_folder_in_which_none_can_be_made() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Xfs).unwrap();
    let (source, destination) = wide(&area);
    for directory in [&destination, &destination.join("wide")] {
        nix::unistd::chown(directory, Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
    }
    tool(
        "setfacl",
        &["-d", "-m", "u::r-x"],
        &destination.join("wide"),
    );
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let finished = run(as_nobody(&mirror.command(), area.path())).unwrap();
    finished.expect_code(0);
    has_all_and_no_folder(&destination.join("wide"));
    assert!(!destination.join(".blit").exists());
}

#[test]
fn folders_that_cannot_be_removed_are_told_and_stay_ours() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Xfs).unwrap();
    let (source, destination) = wide(&area);
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let mut refused = mirror.command();
    let rmdir = Refused {
        call: libc::SYS_unlinkat as u32,
        arguments: &[(2, libc::AT_REMOVEDIR as u32)],
    };
    sandbox::refuse(&mut refused, &[rmdir]);
    let finished = run(refused).unwrap();
    finished.expect_code(10);
    assert_eq!(
        summary(&finished)["filesFailed"],
        1,
        "{}",
        finished.stdout()
    );
    assert!(folders(&destination.join("wide")) > 0);
    assert_eq!(mirror.complete()["filesDeleted"], 0);
    has_all_and_no_folder(&destination.join("wide"));
    oracle::assert_mirrored(&source, &destination);
}

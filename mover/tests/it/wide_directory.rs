//! A directory of thousands of files that was there before: on xfs each thread makes its files in a folder of its own, of which
//! nobody finds anything afterwards, and which changes nothing of what the files are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{run, start};
use nix::sys::signal::Signal;

use crate::blit::{Mirror, Way};
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

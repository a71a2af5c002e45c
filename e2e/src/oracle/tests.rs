//! The oracle judged: a true copy passes in silence, and each kind of difference is found.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::PathBuf;
use std::process::Command;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;

use super::*;
use crate::area::{Area, FileSystem};
use crate::tree::{self, Content, Holes};
use crate::xattr;

/// A source and a copy of it, made by rsync.
struct Copy {
    area: Area,
    a: PathBuf,
    b: PathBuf,
}

impl Copy {
    fn of(make: impl FnOnce(&Path)) -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (a, b) = (area.join("a"), area.join("b"));
        make(&a);
        let mut copy = Command::new("rsync");
        copy.args(["-aHAXS", "--modify-window=-1", "--"])
            .arg(a.join(""))
            .arg(b.join(""));
        assert!(copy.status().unwrap().success());
        Self { area, a, b }
    }

    /// A small tree with one entry for each difference to be made.
    fn small() -> Self {
        Self::of(|root| {
            fs::create_dir_all(root.join("d/e")).unwrap();
            fs::write(root.join("f"), "content").unwrap();
            fs::write(root.join("g"), "content").unwrap();
            fs::write(root.join("h1"), "linked").unwrap();
            fs::hard_link(root.join("h1"), root.join("d/h2")).unwrap();
            symlink("target", root.join("l")).unwrap();
            let null = makedev(1, 3);
            mknod(&root.join("c"), SFlag::S_IFCHR, Mode::S_IRWXU, null).unwrap();
            mknod(&root.join("s"), SFlag::S_IFSOCK, Mode::S_IRWXU, 0).unwrap();
            let sparse = fs::File::create(root.join("sparse")).unwrap();
            Content {
                size: 1 << 20,
                holes: Holes::Middle,
                seed: 1,
            }
            .write(&sparse)
            .unwrap();
            xattr::set(&root.join("f"), b"user.a", b"1").unwrap();
        })
    }

    fn found(&self) -> Vec<Difference> {
        comparer::differences(&self.a, &self.b, &Options::default()).unwrap()
    }

    /// Asserts that the comparer finds exactly this.
    #[track_caller]
    fn expect(&self, path: &str, what: What) {
        let expected = Difference {
            path: path.into(),
            what,
        };
        assert_eq!(self.found(), [expected]);
    }
}

/// Changes an entry of the copy and gives its directory the old times back.
fn change(copy: &Copy, path: &str, change: impl FnOnce(&Path)) {
    let path = copy.b.join(path);
    let parent = path.parent().unwrap();
    let before = fs::symlink_metadata(parent).unwrap();
    change(&path);
    set_mtime(parent, mtime(&before));
}

fn mtime(metadata: &fs::Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.mtime(), metadata.mtime_nsec())
}

fn set_mtime(path: &Path, (seconds, nanoseconds): (i64, i64)) {
    let time = TimeSpec::new(seconds, nanoseconds);
    utimensat(
        AT_FDCWD,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )
    .unwrap();
}

#[test]
fn a_true_copy_of_everything_passes_in_silence() {
    let copy = Copy::of(|root| tree::build(&tree::every_kind(), root).unwrap());
    assert_mirrored(&copy.a, &copy.b);
    assert!(copy.area.path().exists());
}

#[test]
fn entries_that_are_missing_extraneous_or_left_over_are_found() {
    let copy = Copy::small();
    change(&copy, "d/e", |path| fs::remove_dir(path).unwrap());
    copy.expect("d/e", What::Missing);
    change(&copy, "d/e", |path| fs::write(path, "").unwrap());
    copy.expect("d/e", What::Type(0o040_000, 0o100_000));

    let copy = Copy::small();
    change(&copy, "d/new\n", |path| fs::write(path, "").unwrap());
    copy.expect("d/new\n", What::Extraneous);
    assert_eq!(
        copy.found()[0].to_string(),
        "d/new\\n: only in the destination"
    );

    let copy = Copy::small();
    change(&copy, ".blit", |path| fs::create_dir(path).unwrap());
    copy.expect(".blit", What::Leftover);

    let copy = Copy::small();
    change(&copy, "d/.blit.abc1.tmp", |path| {
        fs::write(path, "").unwrap()
    });
    copy.expect("d/.blit.abc1.tmp", What::Leftover);
}

#[test]
fn attributes_that_differ_are_found() {
    let copy = Copy::small();
    fs::set_permissions(copy.b.join("f"), Permissions::from_mode(0o4644)).unwrap();
    copy.expect("f", What::Mode(0o644, 0o4644));

    let copy = Copy::small();
    lchown(copy.b.join("l"), Some(5), None).unwrap();
    copy.expect("l", What::Uid(0, 5));

    let copy = Copy::small();
    lchown(copy.b.join("s"), None, Some(6)).unwrap();
    copy.expect("s", What::Gid(0, 6));

    let copy = Copy::small();
    xattr::set(&copy.b.join("f"), b"user.a", b"2").unwrap();
    copy.expect(
        "f",
        What::Xattr(b"user.a".into(), Some(b"1".into()), Some(b"2".into())),
    );
    xattr::remove(&copy.b.join("f"), b"user.a").unwrap();
    copy.expect("f", What::Xattr(b"user.a".into(), Some(b"1".into()), None));

    let copy = Copy::small();
    let value = tree::capability(1);
    xattr::set(&copy.b.join("g"), b"security.capability", &value).unwrap();
    copy.expect(
        "g",
        What::Xattr(b"security.capability".into(), None, Some(value)),
    );

    let copy = Copy::small();
    let acl = tree::Acl {
        base: (7, 5, 5),
        users: vec![(9, 7)],
        groups: vec![],
    }
    .value();
    xattr::set(&copy.b.join("d"), b"system.posix_acl_default", &acl).unwrap();
    copy.expect(
        "d",
        What::Xattr(b"system.posix_acl_default".into(), None, Some(acl)),
    );
}

#[test]
fn a_single_nanosecond_is_found_on_files_directories_links_and_the_root() {
    for path in ["f", "d", "l", "s", ""] {
        let copy = Copy::small();
        let at = copy.b.join(path);
        let (seconds, nanoseconds) = mtime(&fs::symlink_metadata(copy.a.join(path)).unwrap());
        let other = (seconds, nanoseconds ^ 1);
        set_mtime(&at, other);
        copy.expect(path, What::Mtime((seconds, nanoseconds), other));
        let coarse = Options {
            time_granule: 1_000_000_000,
            ..Options::default()
        };
        assert_eq!(
            comparer::differences(&copy.a, &copy.b, &coarse).unwrap(),
            []
        );
    }
}

#[test]
fn content_that_differs_is_found_though_size_and_time_agree() {
    let copy = Copy::small();
    let time = mtime(&fs::metadata(copy.b.join("f")).unwrap());
    let file = OpenOptions::new()
        .write(true)
        .open(copy.b.join("f"))
        .unwrap();
    file.write_all_at(b"X", 3).unwrap();
    set_mtime(&copy.b.join("f"), time);
    copy.expect("f", What::Content(3));
    file.set_len(3).unwrap();
    set_mtime(&copy.b.join("f"), time);
    copy.expect("f", What::Size(7, 3));
}

#[test]
fn a_target_and_a_device_number_that_differ_are_found() {
    let copy = Copy::small();
    let time = mtime(&fs::symlink_metadata(copy.b.join("l")).unwrap());
    change(&copy, "l", |path| {
        fs::remove_file(path).unwrap();
        symlink("Target", path).unwrap();
        set_mtime(path, time);
    });
    copy.expect("l", What::Target(b"target".into(), b"Target".into()));

    let copy = Copy::small();
    let time = mtime(&fs::symlink_metadata(copy.b.join("c")).unwrap());
    change(&copy, "c", |path| {
        fs::remove_file(path).unwrap();
        mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).unwrap();
        set_mtime(path, time);
    });
    copy.expect("c", What::Device(makedev(1, 3), makedev(1, 5)));
}

#[test]
fn a_hole_that_was_filled_is_found_though_the_bytes_agree() {
    let copy = Copy::small();
    let path = copy.b.join("sparse");
    let time = mtime(&fs::metadata(&path).unwrap());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4096], 400 * 1024).unwrap();
    set_mtime(&path, time);
    copy.expect("sparse", What::Hole(400 * 1024));
    assert_eq!(
        rsync::differences(&copy.a, &copy.b, &Options::default()).unwrap(),
        [""; 0]
    );
}

#[test]
fn hard_links_that_were_broken_or_joined_are_found() {
    let copy = Copy::small();
    let time = mtime(&fs::metadata(copy.b.join("h1")).unwrap());
    change(&copy, "d/h2", |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "linked").unwrap();
        set_mtime(path, time);
    });
    let broken = What::LinkBroken(b"d/h2".into());
    copy.expect("h1", broken);

    let copy = Copy::small();
    for root in [&copy.a, &copy.b] {
        set_mtime(&root.join("f"), (1, 0));
        set_mtime(&root.join("g"), (1, 0));
        xattr::set(&root.join("g"), b"user.a", b"1").unwrap();
    }
    change(&copy, "g", |path| {
        fs::remove_file(path).unwrap();
        fs::hard_link(copy.b.join("f"), path).unwrap();
    });
    copy.expect("g", What::LinkJoined(b"f".into()));
    assert_eq!(
        rsync::differences(&copy.a, &copy.b, &Options::default()).unwrap(),
        [""; 0]
    );
}

#[test]
fn a_name_outside_the_tree_is_found() {
    let copy = Copy::small();
    fs::hard_link(copy.b.join("f"), copy.area.join("outside")).unwrap();
    copy.expect("f", What::LinkCount(2, 1));
}

#[test]
fn trees_deeper_than_a_path_are_compared_to_the_bottom() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (a, b) = (area.join("a"), area.join("b"));
    for (root, depth) in [(&a, 20), (&b, 19)] {
        fs::create_dir(root).unwrap();
        tree::chain(root, depth).unwrap();
    }
    let found = comparer::differences(&a, &b, &Options::default()).unwrap();
    let deep = found
        .iter()
        .find(|difference| difference.what == What::Missing)
        .unwrap();
    assert_eq!(deep.path.len(), 20 * 256 - 1);
}

#[test]
fn both_judges_are_heard() {
    let copy = Copy::small();
    fs::write(copy.b.join("f"), "other").unwrap();
    let found = differences(&copy.a, &copy.b, &Options::default()).unwrap();
    assert!(
        found.iter().any(|line| line == "f: 7 bytes became 5"),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.starts_with("rsync: >fc")),
        "{found:?}"
    );
}

#[test]
fn a_root_that_is_not_there_is_an_error_and_not_an_agreement() {
    let area = Area::plain().unwrap();
    let (a, b) = (area.join("a"), area.join("b"));
    assert!(comparer::differences(&a, &b, &Options::default()).is_err());
    assert!(rsync::differences(&a, &b, &Options::default()).is_err());
}

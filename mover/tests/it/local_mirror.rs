//! One mirror after another of a tree that holds one of everything, in both ways.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::mutate::mutate;
use blit_e2e::snapshot::Snapshot;
use blit_e2e::trace::{Call, run_traced};
use blit_e2e::tree::{Content, Holes};
use blit_e2e::{oracle, seed, tree};

use crate::blit::{Mirror, Way};
use crate::machine;

/// Changes between two runs.
const CHANGES: usize = 200;

/// An area with a source, which holds one of everything, and a place for its mirror.
pub(crate) struct Setting {
    pub(crate) area: Area,
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
}

impl Setting {
    pub(crate) fn new(file_system: FileSystem) -> Self {
        let setting = Self::without_source(file_system);
        tree::build(&tree::every_kind(), &setting.source).unwrap();
        setting
    }

    /// The source is still to be made.
    fn without_source(file_system: FileSystem) -> Self {
        let area = Area::on(file_system).unwrap();
        let (source, destination) = (area.join("source"), area.join("destination"));
        Self {
            area,
            source,
            destination,
        }
    }

    pub(crate) fn mirror(&self, way: Way) -> Mirror<'_> {
        Mirror {
            way,
            source: &self.source,
            destination: &self.destination,
            work: self.area.path(),
        }
    }
}

/// Everything is mirrored; a second run touches nothing; changes are followed, again and again.
pub(crate) fn follows(way: Way, file_system: FileSystem) {
    let setting = Setting::new(file_system);
    let mirror = setting.mirror(way);
    mirror.complete();
    oracle::assert_mirrored(&setting.source, &setting.destination);

    touches_nothing(&mirror);

    let seed = seed::for_test();
    for round in 0..3 {
        let seed = seed.wrapping_add(round);
        let changes = mutate(&setting.source, CHANGES, seed).unwrap();
        let log = changes
            .iter()
            .map(|change| format!("{change}\n"))
            .collect::<String>();
        println!("{}={seed} round {round}:\n{log}", seed::VARIABLE);
        mirror.complete();
        oracle::assert_mirrored(&setting.source, &setting.destination);
        touches_nothing(&mirror);
    }
}

/// Asserts that one more run copies, changes and deletes nothing, not even the time of a directory.
#[track_caller]
pub(crate) fn touches_nothing(mirror: &Mirror<'_>) {
    let before = Snapshot::of(mirror.destination).unwrap();
    let summary = mirror.complete();
    for figure in [
        "filesCopied",
        "filesDeleted",
        "filesFailed",
        "metadataRepaired",
        "bytesCopied",
    ] {
        assert_eq!(summary[figure], 0, "{figure} of {summary}");
    }
    before.assert_untouched(&Snapshot::of(mirror.destination).unwrap());
}

#[test]
fn one_of_everything_is_mirrored_and_followed_on_ext4() {
    let _shared = machine::shared();
    follows(Way::Local, FileSystem::Ext4);
}

#[test]
fn one_of_everything_is_mirrored_and_followed_on_xfs() {
    let _shared = machine::shared();
    follows(Way::Local, FileSystem::Xfs);
}

#[test]
fn a_mirror_never_changes_its_source() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    let before = Snapshot::of(&setting.source).unwrap();
    for way in [Way::Local, Way::Run] {
        setting.mirror(way).complete();
        before.assert_untouched(&Snapshot::of(&setting.source).unwrap());
    }
}

#[test]
fn a_tree_deeper_than_any_path_is_mirrored_to_the_bottom() {
    let _shared = machine::shared();
    for way in [Way::Local, Way::Run] {
        let setting = Setting::without_source(FileSystem::Ext4);
        let (source, destination) = (&setting.source, &setting.destination);
        std::fs::create_dir(source).unwrap();
        tree::chain(source, 20).unwrap();
        let mirror = setting.mirror(way);
        mirror.complete();
        // rsync cannot name these paths; the other judge can.
        let found = oracle::comparer::differences(source, destination, &Default::default());
        assert_eq!(found.unwrap(), []);
        touches_nothing(&mirror);
    }
}

/// What replaces a directory is made last, when the directory around it has the ACL of the source already.
#[test]
fn what_replaces_a_directory_gets_no_acl_from_the_directory_around_it() {
    let _shared = machine::shared();
    for way in [Way::Local, Way::Run] {
        let setting = Setting::without_source(FileSystem::Ext4);
        let (source, destination) = (&setting.source, &setting.destination);
        // Looks at what the directory hands down before that is set: a new directory in it does.
        std::fs::create_dir_all(source.join("around/new")).unwrap();
        std::fs::write(source.join("around/file"), "content").unwrap();
        let status = Command::new("setfacl")
            .args(["--default", "--modify", "user:1000:rwx"])
            .arg(source.join("around"))
            .status();
        assert!(status.unwrap().success());
        std::fs::create_dir_all(destination.join("around/file")).unwrap();
        std::fs::write(destination.join("around/file/below"), "old").unwrap();
        let mirror = setting.mirror(way);
        mirror.complete();
        oracle::assert_mirrored(source, destination);
        touches_nothing(&mirror);
    }
}

#[test]
fn a_mirror_between_file_systems_keeps_everything() {
    let _shared = machine::shared();
    for (from, to) in [
        (FileSystem::Ext4, FileSystem::Xfs),
        (FileSystem::Xfs, FileSystem::Ext4),
        (FileSystem::Ext4, FileSystem::Btrfs),
        (FileSystem::Btrfs, FileSystem::Ext4),
        (FileSystem::Btrfs, FileSystem::Tmpfs),
        (FileSystem::Tmpfs, FileSystem::Xfs),
    ] {
        for way in [Way::Local, Way::Run] {
            let setting = Setting::new(from);
            let other = Area::on(to).unwrap();
            let destination = other.join("destination");
            let mirror = Mirror {
                destination: &destination,
                ..setting.mirror(way)
            };
            mirror.complete();
            // rsync takes the names that xfs alone has for its ACLs for differences.
            let source = &setting.source;
            let found = oracle::comparer::differences(source, &destination, &Default::default());
            assert_eq!(found.unwrap(), [], "{from:?} to {to:?}, {way:?}");
            touches_nothing(&mirror);
        }
    }
}

#[test]
fn on_a_file_system_that_can_share_blocks_content_is_neither_read_nor_written() {
    let _shared = machine::shared();
    for file_system in [FileSystem::Xfs, FileSystem::Btrfs] {
        let setting = Setting::without_source(file_system);
        std::fs::create_dir(&setting.source).unwrap();
        let large = File::create_new(setting.source.join("large")).unwrap();
        Content::full(64 << 20, 1).write(&large).unwrap();
        let command = setting.mirror(Way::Local).command();
        let calls = "ioctl,copy_file_range,sendfile,splice,read,pread64,write,pwrite64";
        let traced = run_traced(&command, calls).unwrap();
        traced.finished.expect_code(0);
        let is_clone = |call: &&Call| {
            call.name == "ioctl" && call.text.contains("FICLONE") && call.text.ends_with("= 0")
        };
        let clones: Vec<_> = traced.calls.iter().filter(is_clone).collect();
        assert_eq!(clones.len(), 1, "{file_system:?}: {:?}", traced.calls);
        let path = format!("<{}>", setting.source.join("large").display());
        let reads = traced.calls.iter().filter(|call| call.text.contains(&path));
        let reads: Vec<_> = reads.filter(|call| call.name != "ioctl").collect();
        assert!(reads.is_empty(), "{file_system:?}: {reads:?}");
        oracle::assert_mirrored(&setting.source, &setting.destination);
    }
}

#[test]
fn a_sparse_file_takes_no_more_space_than_its_source() {
    let _shared = machine::shared();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        for way in [Way::Local, Way::Run] {
            let setting = Setting::without_source(file_system);
            let (source, destination) = (&setting.source, &setting.destination);
            std::fs::create_dir(source).unwrap();
            // Holes between short pieces of data: xfs allocates ahead where a file grows piece by piece.
            let comb = Content {
                size: 9 << 20,
                holes: Holes::Comb,
                seed: 1,
            };
            comb.write(&File::create_new(source.join("comb")).unwrap())
                .unwrap();
            setting.mirror(way).complete();
            let blocks = |root: &Path| {
                let file = File::open(root.join("comb")).unwrap();
                file.sync_all().unwrap();
                file.metadata().unwrap().blocks()
            };
            let (before, after) = (blocks(source), blocks(destination));
            // A tenth is for the map of extents, which may be laid out in another way.
            assert!(
                after <= before + before / 10,
                "{before} blocks became {after} on {file_system:?}, {way:?}"
            );
        }
    }
}

use std::os::unix::fs::MetadataExt;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::*;
use crate::area::{Area, FileSystem};
use crate::oracle;
use crate::snapshot::Snapshot;

#[test]
fn the_catalogue_is_made_in_full_on_ext4_and_xfs() {
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let area = Area::on(file_system).unwrap();
        let tree = every_kind();
        build(&tree, &area.join("tree")).unwrap();
        assert_eq!(
            Snapshot::of(&area.join("tree")).unwrap().count(),
            tree.nodes.len() + 1
        );
        let link = area.join("tree/links/fifo").symlink_metadata().unwrap();
        assert_eq!(link.nlink(), 5);
        let vast = area.join("tree/holes/vast").symlink_metadata().unwrap();
        assert_eq!(vast.blocks(), 0);
    }
}

#[test]
fn the_same_seed_makes_the_same_tree() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (a, b) = (area.join("a"), area.join("b"));
    build(&random::tree(42, 60), &a).unwrap();
    build(&random::tree(42, 60), &b).unwrap();
    oracle::assert_mirrored(&a, &b);
    assert!(Snapshot::of(&a).unwrap().count() > 30);
}

#[test]
fn every_random_tree_can_be_made() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let mut runner = TestRunner::deterministic();
    for number in 0..50 {
        let tree = random::trees(40).new_tree(&mut runner).unwrap().current();
        build(&tree, &area.join(&number.to_string())).unwrap();
    }
}

#[test]
fn a_chain_is_deeper_than_a_path_can_name() {
    let area = Area::plain().unwrap();
    assert!(chain(area.path(), 20).unwrap() > 4096);
    assert_eq!(Snapshot::of(area.path()).unwrap().count(), 22);
}

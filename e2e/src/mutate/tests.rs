use std::collections::BTreeSet;

use super::*;
use crate::area::{Area, FileSystem};
use crate::snapshot::Snapshot;
use crate::{oracle, tree};

#[test]
fn the_same_seed_makes_the_same_changes() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (a, b) = (area.join("a"), area.join("b"));
    tree::build(&tree::every_kind(), &a).unwrap();
    tree::build(&tree::every_kind(), &b).unwrap();
    let changes = mutate(&a, 200, 7).unwrap();
    assert_eq!(changes.len(), 200);
    assert_eq!(changes, mutate(&b, 200, 7).unwrap());
    assert_ne!(changes, mutate(&b, 200, 8).unwrap());
}

#[test]
fn every_kind_of_change_happens() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let root = area.join("tree");
    let mut seen = BTreeSet::new();
    for seed in 0..5 {
        let _ = std::fs::remove_dir_all(&root);
        tree::build(&tree::every_kind(), &root).unwrap();
        let changes = mutate(&root, 200, seed).unwrap();
        seen.extend(
            changes
                .into_iter()
                .map(|change| format!("{:?}", change.kind)),
        );
    }
    assert_eq!(seen.len(), KINDS.len(), "{seen:?}");
}

#[test]
fn each_single_change_is_seen_by_the_oracle() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (a, b) = (area.join("a"), area.join("b"));
    for path in [&a, &b] {
        tree::build(&tree::random::tree(1, 100), path).unwrap();
    }
    oracle::assert_mirrored(&a, &b);
    let mut before = oracle::differences(&a, &b, &oracle::Options::default()).unwrap();
    for seed in 0..60 {
        let touched = Snapshot::of(&a).unwrap();
        let changes = mutate(&a, 1, seed).unwrap();
        assert!(
            !touched.changes(&Snapshot::of(&a).unwrap()).is_empty(),
            "{}",
            changes[0]
        );
        let after = oracle::differences(&a, &b, &oracle::Options::default()).unwrap();
        assert!(
            before != after || is_below_one(&changes[0].path, &before),
            "nobody saw {}",
            changes[0]
        );
        before = after;
    }
}

/// Whether a path lies below a directory that an earlier change made: all of that is one difference.
fn is_below_one(path: &str, differences: &[String]) -> bool {
    differences.iter().any(|line| {
        line.split_once(": ").is_some_and(|(parent, difference)| {
            let whole = difference.starts_with("missing") || difference.starts_with("type");
            whole && path.starts_with(&format!("{parent}/"))
        })
    })
}

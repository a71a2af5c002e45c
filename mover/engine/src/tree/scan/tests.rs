use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Entries of the directory; with names of such a length they fill several of the buffers that one call reads.
const ENTRIES: usize = 300;

fn names() -> BTreeSet<Box<[u8]>> {
    let name = |n: usize| format!("{n:0>200}").into_bytes().into();
    (0..ENTRIES).map(name).collect()
}

fn tree() -> TempDir {
    let root = TempDir::new().unwrap();
    for name in names() {
        let name = String::from_utf8(name.into()).unwrap();
        fs::write(root.path().join(name), "").unwrap();
    }
    root
}

/// Lists the root, where a part is handed on behind the entries that `due` says, and returns the sizes of all parts.
/// They have each name once, are numbered in order, and the last one tells how many entries there are.
fn listed(root: &TempDir, due: impl Fn(usize) -> bool) -> Vec<usize> {
    let source = LocalSource::open(root.path(), ScanOptions::default()).unwrap();
    let (seen, mut sizes, mut found) = (Cell::new(0), Vec::new(), Vec::new());
    let is_due = || {
        seen.set(seen.get() + 1);
        due(seen.get())
    };
    while let Next::Part(part) = source.next_until(is_due).unwrap() {
        assert_eq!(part.part as usize, sizes.len());
        sizes.push(part.entries.len());
        found.extend(part.entries.into_iter().map(|entry| entry.name));
        let whole = End::Complete {
            count: ENTRIES as u64,
        };
        assert!(part.end.is_none_or(|end| end == whole));
    }
    assert_eq!(found.len(), ENTRIES);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names());
    sizes
}

#[test]
fn the_parts_are_exactly_the_names_wherever_one_is_handed_on() {
    let root = tree();
    assert_eq!(listed(&root, |_| false), [ENTRIES]);
    for at in 1..=ENTRIES {
        assert_eq!(listed(&root, |seen| seen == at), [at, ENTRIES - at]);
    }
    let mut each = vec![1; ENTRIES];
    each.push(0);
    assert_eq!(listed(&root, |_| true), each);
}

#[test]
fn the_parts_are_exactly_the_names_wherever_they_are_handed_on() {
    let root = tree();
    let places = proptest::collection::hash_set(1..=ENTRIES, 0..ENTRIES);
    proptest!(|(places in places)| {
        let sizes = listed(&root, |seen| places.contains(&seen));
        prop_assert_eq!(sizes.len(), places.len() + 1);
    });
}

#[test]
fn directories_that_are_half_read_are_continued_before_another_is_begun() {
    let root = TempDir::new().unwrap();
    for name in ["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    let source = LocalSource::open(root.path(), ScanOptions::default()).unwrap();
    let half_read = RefCell::new(HashSet::new());
    let took = |next: Next| {
        let Next::Part(part) = next else {
            return false;
        };
        match part.end {
            Some(_) => half_read.borrow_mut().remove(&part.dir),
            None => half_read.borrow_mut().insert(part.dir),
        };
        true
    };
    assert!(took(source.next_until(|| false).unwrap()));
    // One caller has `a` or `b` in hand while another one reads a piece of the other.
    let meanwhile = || took(source.next_until(|| true).unwrap());
    assert!(took(source.next_until(meanwhile).unwrap()));
    assert_eq!(half_read.borrow().len(), 2);
    let mut listed = 0;
    loop {
        let next = source.next_until(|| true).unwrap();
        if let Next::Part(part) = &next {
            let half_read = half_read.borrow();
            assert!(half_read.is_empty() || half_read.contains(&part.dir));
        }
        if !took(next) {
            break;
        }
        listed += 1;
    }
    // Two more entries and the end, of each; and six that are empty.
    assert_eq!(listed, 2 * 3 + 6);
}

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;

use super::*;

/// Counts what it allows.
struct Bounded {
    budget: Budget,
    removed: AtomicU64,
}

impl Bounded {
    fn to(removals: u64) -> Self {
        let (budget, removed) = (Budget::default(), AtomicU64::new(0));
        budget.approve(removals);
        Self { budget, removed }
    }
}

impl Removal for Bounded {
    fn allow(&self) -> bool {
        true
    }

    fn reserve(&self) -> bool {
        self.budget.reserve()
    }

    fn give_back(&self) {
        self.budget.give_back();
    }

    fn removed(&self, _path: &[u8], _kind: Kind) {
        self.removed.fetch_add(1, Relaxed);
    }

    fn failed(&self, path: &[u8], errno: Errno) {
        panic!("{}: {errno}", path.escape_ascii());
    }

    fn mounted(&self, path: &[u8]) {
        panic!("{} is a mount", path.escape_ascii());
    }

    fn is_source(&self, _path: &[u8], _dir: &Dir) -> bool {
        false
    }
}

#[test]
fn threads_together_remove_no_more_than_was_approved() {
    const THREADS: usize = 8;
    let work = tempfile::tempdir().unwrap();
    // More than was approved appeared in the meantime, in each tree.
    for round in 0..20 {
        for tree in 0..THREADS {
            let below = work.path().join(format!("{round}/{tree}/below"));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join("file"), "").unwrap();
        }
        let approved = 11;
        let bounded = Bounded::to(approved);
        let dir = Dir::open_root(&work.path().join(round.to_string())).unwrap();
        let together = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for tree in 0..THREADS {
                let (bounded, dir, together) = (&bounded, &dir, &together);
                scope.spawn(move || {
                    let name = tree.to_string().into_bytes();
                    together.wait();
                    remove(dir, &name, &name, bounded);
                });
            }
        });
        assert!(bounded.removed.load(Relaxed) <= approved);
        let left = walk(&work.path().join(round.to_string()));
        assert_eq!(left + bounded.removed.load(Relaxed), 3 * THREADS as u64);
    }
}

#[test]
fn what_was_approved_goes_to_the_last_entry_also_by_several_threads() {
    let work = tempfile::tempdir().unwrap();
    for tree in 0..4 {
        fs::create_dir_all(work.path().join(format!("{tree}/a/b"))).unwrap();
        fs::write(work.path().join(format!("{tree}/a/file")), "").unwrap();
    }
    let bounded = Bounded::to(4 * 4);
    let dir = Dir::open_root(work.path()).unwrap();
    std::thread::scope(|scope| {
        for tree in 0..4 {
            let (bounded, dir) = (&bounded, &dir);
            scope.spawn(move || {
                let name = tree.to_string().into_bytes();
                assert!(remove(dir, &name, &name, bounded));
            });
        }
    });
    assert_eq!(walk(work.path()), 0);
    assert!(!bounded.reserve(), "nothing is left of the budget");
}

#[test]
fn a_tree_of_any_depth_fits_the_stack_of_any_thread() {
    const LEVELS_DEEP: u64 = 3500;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let work = tempfile::tempdir().unwrap();
    let top = Dir::open_root(work.path()).unwrap();
    let mut dir = top.reopen().unwrap();
    for _ in 0..LEVELS_DEEP {
        dir.mkdir(b"d", 0o700).unwrap();
        dir = dir.open_dir(b"d").unwrap();
    }
    let small = std::thread::Builder::new().stack_size(768 * 1024);
    let removed = small.spawn(move || {
        let bounded = Bounded::to(u64::MAX);
        assert_eq!(
            count(
                &top,
                &Listed::new(b"d", FileType::Directory),
                b"d",
                &bounded
            )
            .entries,
            LEVELS_DEEP
        );
        assert!(survey(&top, b"d", b"d", &bounded));
        assert!(remove(&top, b"d", b"d", &bounded));
        bounded.removed.load(Relaxed)
    });
    // What a survey counts, and what a removal does.
    assert_eq!(removed.unwrap().join().unwrap(), 2 * LEVELS_DEEP);
}

/// Number of entries below a directory.
fn walk(dir: &std::path::Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => 1 + walk(&entry.path()),
            false => 1,
        })
        .sum()
}

#[test]
fn what_a_listing_called_no_directory_counts_once_and_everything_else_is_looked_at() {
    let work = tempfile::tempdir().unwrap();
    fs::create_dir_all(work.path().join("top/sub")).unwrap();
    fs::write(work.path().join("top/file"), "").unwrap();
    fs::write(work.path().join("top/sub/file"), "").unwrap();
    let dir = Dir::open_root(work.path()).unwrap();
    let bounded = Bounded::to(u64::MAX);
    let counted = |kind| count(&dir, &Listed::new(b"top", kind), b"top", &bounded).entries;
    assert_eq!(counted(FileType::Directory), 4);
    // Some file systems never say.
    assert_eq!(counted(FileType::Unknown), 4);
    assert_eq!(counted(FileType::RegularFile), 1);
}

//! Random trees onto random trees: whatever the destination held before, it is a mirror afterwards.

use std::path::Path;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::{self, Tree, random};
use blit_e2e::{oracle, seed};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use crate::blit::{Mirror, Way, summary};
use crate::machine;

/// Cases of the property; the promise names this number.
const CASES: u32 = 200;

/// Entries of a tree, at most: enough for several directories with links between them.
const NODES: usize = 40;

/// Threads that share the cases: the processes of one wait for the disk while those of the other work.
const THREADS: u32 = 2;

/// For any two trees, a mirror of the one over the other is exact, and a second run touches nothing.
pub(crate) fn replaces(way: Way) {
    let seed = seed::for_test();
    let share = |thread: u32| replaces_share(way, seed, thread);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS)
            .map(|thread| scope.spawn(move || share(thread)))
            .collect();
        share(0);
        for other in others {
            other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// The cases of one thread, which follow from the seed and its number.
fn replaces_share(way: Way, seed: u64, thread: u32) {
    let config = Config {
        cases: CASES / THREADS,
        rng_seed: RngSeed::Fixed(seed.wrapping_add(thread.into())),
        failure_persistence: None,
        // A case is a few processes; a smaller example is worth some minutes, not hours.
        max_shrink_iters: 300,
        ..Config::default()
    };
    let area = Area::on(FileSystem::Ext4).unwrap();
    let trees = (random::trees(NODES), random::trees(NODES));
    let result = TestRunner::new(config).run(&trees, |(new, old)| {
        let case = area.join("case");
        let outcome = check(way, &case, &new, &old);
        std::fs::remove_dir_all(&case).unwrap();
        outcome.map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (new, old))) => panic!(
            "{way:?}: {reason}\nreplay with {}={seed}\nsource: {new}\ndestination before: {old}",
            seed::VARIABLE
        ),
        Err(other) => panic!("{other}; replay with {}={seed}", seed::VARIABLE),
    }
}

/// Makes both trees, mirrors twice; an error is a finding.
fn check(way: Way, case: &Path, new: &Tree, old: &Tree) -> Result<(), String> {
    let (source, destination) = (case.join("source"), case.join("destination"));
    tree::build(new, &source).unwrap();
    tree::build(old, &destination).unwrap();
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: case,
    };
    let finished = blit_e2e::process::run(mirror.command()).map_err(|error| error.to_string())?;
    if finished.code != Some(0) {
        return Err(format!("code {:?}: {}", finished.code, finished.stderr()));
    }
    let found = oracle::differences(&source, &destination, &oracle::Options::default()).unwrap();
    if !found.is_empty() {
        return Err(found.join("\n"));
    }
    let before = Snapshot::of(&destination).unwrap();
    let again = blit_e2e::process::run(mirror.command()).map_err(|error| error.to_string())?;
    let touched = before.changes(&Snapshot::of(&destination).unwrap());
    if again.code != Some(0) || summary(&again)["filesCopied"] != 0 || !touched.is_empty() {
        return Err(format!(
            "the second run: code {:?}, {}\n{}\n{}",
            again.code,
            summary(&again),
            touched.join("\n"),
            again.stderr()
        ));
    }
    Ok(())
}

#[test]
fn any_tree_replaces_any_other() {
    let _shared = machine::shared();
    replaces(Way::Local);
}

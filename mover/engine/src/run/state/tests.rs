use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::folder::{Folder, Previous, Record};
use super::{PREVIOUS_MAX, StateKeeper, new_run_id};
use crate::fs::Dir;
use crate::plan::began::Moment;
use crate::plan::names::is_run_id;
use crate::run::RunIdentity;
use crate::run::cancel::Cancel;

const HOUR: Duration = Duration::from_secs(3600);

/// A run that has written something to a destination.
fn begun(root: &std::path::Path) -> (StateKeeper, Arc<Dir>) {
    let root = Arc::new(Dir::open_root(root).unwrap());
    let identity = RunIdentity {
        run_id: new_run_id(),
        ..RunIdentity::default()
    };
    let keeper = StateKeeper::open(Arc::clone(&root), &identity, &(), &Cancel::new()).unwrap();
    keeper.before_write().unwrap();
    (keeper, root)
}

fn started(root: &Dir) -> i64 {
    let folder = Folder::find(root).unwrap().unwrap();
    folder.read().unwrap().started_seconds
}

#[test]
fn a_clock_that_is_set_back_takes_the_beginning_in_the_state_with_it() {
    let temporary = tempfile::tempdir().unwrap();
    let (keeper, root) = begun(temporary.path());
    let before = started(&root);
    // Two hours later, by a clock that nobody sets; by the other a day earlier.
    let later = Moment {
        wall: keeper.began.wall - 24 * HOUR,
        steady: keeper.began.steady + 2 * HOUR,
    };
    keeper.look_again(later).unwrap();
    let moved = started(&root);
    assert_eq!(before - moved, 26 * 3600);
    // What the run wrote before keeps its times, so the beginning never goes forward again.
    let forward = Moment {
        wall: later.wall + 48 * HOUR,
        steady: later.steady + HOUR,
    };
    keeper.look_again(forward).unwrap();
    assert_eq!(started(&root), moved);
}

#[test]
fn time_that_passes_leaves_the_beginning_where_it_was() {
    let temporary = tempfile::tempdir().unwrap();
    let (keeper, root) = begun(temporary.path());
    let before = started(&root);
    for hours in 1..100 {
        let later = Moment {
            wall: keeper.began.wall + hours * HOUR,
            steady: keeper.began.steady + hours * HOUR,
        };
        keeper.look_again(later).unwrap();
    }
    assert_eq!(started(&root), before);
}

/// A state as a run leaves it that was cut off after others.
fn record() -> Record {
    let previous = Previous {
        run_id: "abcdefghijkl".to_owned(),
        boot_id: "boot".to_owned(),
        mounted: "mounted".to_owned(),
        started_seconds: 1_000,
    };
    Record {
        version: 1,
        run_id: "mnopqrstuvwx".to_owned(),
        boot_id: "boot".to_owned(),
        mounted: "mounted".to_owned(),
        started_seconds: 2_000,
        source: "/from".to_owned(),
        job_uid: Some("job".to_owned()),
        attempt: 3,
        previous: vec![previous; 2],
    }
}

/// A destination that an earlier run left with this state.
fn left(state: &[u8]) -> tempfile::TempDir {
    let temporary = tempfile::tempdir().unwrap();
    std::fs::create_dir(temporary.path().join(".blit")).unwrap();
    std::fs::write(temporary.path().join(".blit/state"), state).unwrap();
    temporary
}

fn opened(root: &std::path::Path) -> StateKeeper {
    let root = Arc::new(Dir::open_root(root).unwrap());
    let identity = RunIdentity {
        run_id: new_run_id(),
        ..RunIdentity::default()
    };
    StateKeeper::open(root, &identity, &(), &Cancel::new()).unwrap()
}

#[test]
fn what_is_called_like_no_run_leads_nowhere_and_its_beginning_counts() {
    for run_id in [
        "../../../else",
        "x/../../else",
        "a/b/c/d/e/fg",
        "\u{1b}[2J",
        "",
    ] {
        let state = Record {
            run_id: run_id.to_owned(),
            ..record()
        };
        let temporary = left(&serde_json::to_vec(&state).unwrap());
        let keeper = opened(temporary.path());
        let known: Vec<_> = keeper.previous_runs().collect();
        assert_eq!(known, ["abcdefghijkl"; 2], "{run_id:?}");
        assert_eq!(keeper.crashed().unwrap().since.seconds, 1_000);
        assert!(!state.to_string().contains('\u{1b}'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_state_that_is_cut_off_is_none_and_nothing_is_trusted_after_it(at in any::<prop::sample::Index>()) {
        let state = serde_json::to_vec(&record()).unwrap();
        let temporary = left(&state[..at.index(state.len())]);
        let keeper = opened(temporary.path());
        prop_assert_eq!(keeper.previous_runs().count(), 0);
        prop_assert!(keeper.crashed().is_some());
        keeper.before_write().unwrap();
        prop_assert!(keeper.remove().unwrap());
    }

    #[test]
    fn whatever_lies_where_a_state_lies_a_run_begins_and_takes_no_foreign_name_for_its_own(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        how in 0..4u8,
        runs in 0..200usize,
        run_id in "[a-z/.]{0,14}|\\PC{0,8}",
        seconds in any::<i64>(),
    ) {
        let mut state = record();
        for number in 0..runs {
            state.previous.push(Previous {
                run_id: format!("{run_id}{number}"),
                started_seconds: seconds,
                ..state.previous[0].clone()
            });
        }
        state.run_id = run_id;
        state.started_seconds = seconds;
        let mut state = serde_json::to_vec(&state).unwrap();
        match how {
            0 => {}
            1 => state = noise,
            2 => state.extend(noise),
            _ => {
                for (at, byte) in flips {
                    let at = at.index(state.len());
                    state[at] = byte;
                }
            }
        }
        let temporary = left(&state);
        let keeper = opened(temporary.path());
        prop_assert!(keeper.previous_runs().count() <= PREVIOUS_MAX);
        prop_assert!(keeper.previous_runs().all(|run| is_run_id(run.as_bytes())));
        prop_assert!(!keeper.is_left(b".blit..tmp") && !keeper.is_left(b".blit.user-data.tmp"));
        keeper.before_write().unwrap();
        prop_assert!(keeper.remove().unwrap());
        prop_assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_state_that_is_longer_than_any_is_none() {
    let mut state = serde_json::to_vec(&record()).unwrap();
    state.resize(1 << 20, b' ');
    // It is right at its beginning, and what follows is nothing: only the beginning is read.
    let temporary = left(&state);
    assert_eq!(opened(temporary.path()).previous_runs().count(), 3);
    let source = "x".repeat(1 << 20);
    let temporary = left(&serde_json::to_vec(&Record { source, ..record() }).unwrap());
    let keeper = opened(temporary.path());
    assert_eq!(keeper.previous_runs().count(), 0);
    assert!(keeper.crashed().is_some());
}

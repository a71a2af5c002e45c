use std::sync::Arc;
use std::time::Duration;

use super::folder::Folder;
use super::{StateKeeper, new_run_id};
use crate::fs::Dir;
use crate::plan::began::Moment;
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

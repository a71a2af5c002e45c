//! A defect of ours ends the run, and does not leave it hanging with its threads waiting for each other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use blit_engine::run::{Cancel, Event, Events, Options, RunIdentity};

use crate::harness::Pair;

/// Far more than a run takes; without the promise it would never end.
const LIMIT: Duration = Duration::from_secs(120);

/// Whoever tells of the events of a run, and panics at one.
struct Panics(fn(&Event<'_>) -> bool);

impl Events for Panics {
    fn event(&self, event: &Event<'_>) {
        assert!(!self.0(event), "this panic is the test's");
    }

    fn wants_entries(&self) -> bool {
        true
    }
}

#[track_caller]
fn assert_ends(at: fn(&Event<'_>) -> bool) {
    let pair = Arc::new(Pair::new());
    for n in 0..200 {
        pair.write(&format!("d{}/f{n}", n % 10), "content");
    }
    let (ended, end) = channel();
    let theirs = Arc::clone(&pair);
    std::thread::spawn(move || {
        let run = || {
            let options = Options {
                workers: Some(3),
                ..Options::default()
            };
            let identity = RunIdentity::default();
            theirs.run_as(identity, options, Arc::new(Panics(at)), Cancel::new())
        };
        let _ = ended.send(catch_unwind(AssertUnwindSafe(run)).is_err());
    });
    let panicked = end.recv_timeout(LIMIT);
    assert!(panicked.expect("the run hangs"), "nothing panicked");
    // What it left is no hindrance.
    let summary = pair.mirror();
    assert!(summary.fatal.is_none(), "{:?}", summary.fatal);
    pair.assert_mirrored();
}

#[test]
fn a_panic_between_two_phases_ends_the_run() {
    assert_ends(|event| matches!(event, Event::Phase(_)));
}

#[test]
fn a_panic_of_a_worker_ends_the_run() {
    assert_ends(|event| matches!(event, Event::Entry { .. }));
}

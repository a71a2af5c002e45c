//! Attempts of one job that meet at a destination: one of them writes, the latest.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use blit_engine::run::{Cancel, Event, Events, Fatal, Options, RunIdentity, new_run_id};

use crate::harness::Pair;

const FILES: usize = 300;

fn attempt(number: u32) -> RunIdentity {
    RunIdentity {
        run_id: new_run_id(),
        source: "test".to_owned(),
        job_uid: Some("job".to_owned()),
        attempt: number,
    }
}

/// One thread, so that what is under way when something happens is one entry.
fn one_worker() -> Options {
    Options {
        workers: Some(1),
        ..Options::default()
    }
}

fn pair() -> Pair {
    let pair = Pair::new();
    for n in 0..FILES {
        pair.write(&format!("f{n:04}"), "content");
    }
    pair
}

/// Puts the state of another run into the destination, as one on another host would.
fn put_state(destination: &Path, job: &str, attempt: u32) {
    let folder = destination.join(".blit");
    let state = format!(
        r#"{{"version":1,"runId":"abcdefghijkl","bootId":"","startedSeconds":0,"source":"x","jobUid":"{job}","attempt":{attempt}}}"#
    );
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("state.new"), state).unwrap();
    fs::rename(folder.join("state.new"), folder.join("state")).unwrap();
}

fn names(destination: &Path) -> usize {
    fs::read_dir(destination)
        .unwrap()
        .filter(|entry| {
            !entry
                .as_ref()
                .unwrap()
                .file_name()
                .as_encoded_bytes()
                .starts_with(b".blit")
        })
        .count()
}

/// Does something once, at the tenth entry.
struct AtTenth<F> {
    seen: AtomicU64,
    act: F,
}

impl<F: Fn() + Send + Sync> Events for AtTenth<F> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Entry { .. }) && self.seen.fetch_add(1, Ordering::SeqCst) == 9 {
            (self.act)();
        }
    }

    fn wants_entries(&self) -> bool {
        true
    }
}

/// Runs attempt 1, does something at its tenth entry, and lets enough time pass that it looks again.
fn disturbed(pair: &Pair, act: impl Fn() + Send + Sync + 'static) -> Option<Fatal> {
    let events = AtTenth {
        seen: AtomicU64::new(0),
        act: move || {
            act();
            std::thread::sleep(Duration::from_millis(100));
        },
    };
    let summary = pair.run_as(attempt(1), one_worker(), Arc::new(events), Cancel::new());
    assert_eq!(names(&pair.destination), 10, "it went on writing");
    assert_eq!(summary.progress.files_failed, 0, "nothing has failed");
    summary.fatal
}

#[test]
fn an_attempt_stops_as_soon_as_a_newer_one_has_put_its_state_there() {
    let pair = pair();
    let destination = pair.destination.clone();
    let fatal = disturbed(&pair, move || put_state(&destination, "job", 2));
    assert!(matches!(fatal, Some(Fatal::NewerAttempt(2))), "{fatal:?}");
    let left = fs::read_to_string(pair.destination.join(".blit/state")).unwrap();
    assert!(left.contains("\"attempt\":2"), "it took the other's state");
}

#[test]
fn a_run_stops_when_its_state_is_taken_away_or_is_of_another_job() {
    let pair_of_removed = pair();
    let folder = pair_of_removed.destination.join(".blit");
    let fatal = disturbed(&pair_of_removed, move || {
        fs::remove_dir_all(&folder).unwrap();
    });
    assert!(matches!(fatal, Some(Fatal::Replaced)), "{fatal:?}");
    let pair_of_replaced = pair();
    let destination = pair_of_replaced.destination.clone();
    let fatal = disturbed(&pair_of_replaced, move || {
        put_state(&destination, "another job", 1);
    });
    assert!(matches!(fatal, Some(Fatal::Replaced)), "{fatal:?}");
}

#[test]
fn an_older_attempt_does_not_even_begin() {
    let pair = pair();
    put_state(&pair.destination, "job", 2);
    let summary = pair.run_as(attempt(1), one_worker(), Arc::new(()), Cancel::new());
    assert!(matches!(summary.fatal, Some(Fatal::NewerAttempt(2))));
    assert_eq!(names(&pair.destination), 0);
    let newer = pair.run_as(attempt(3), one_worker(), Arc::new(()), Cancel::new());
    assert!(newer.is_complete(), "{newer:?}");
    pair.assert_mirrored();
}

/// Stands still at the first entry until it is told to go on.
struct Standing {
    stands: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
    first: AtomicU64,
}

impl Events for Standing {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Entry { .. }) && self.first.fetch_add(1, Ordering::SeqCst) == 0 {
            self.stands.lock().unwrap().send(()).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
    }

    fn wants_entries(&self) -> bool {
        true
    }
}

#[test]
fn a_new_attempt_tells_the_one_before_to_stop_and_finishes_its_work() {
    let pair = pair();
    let ((stands, standing), (go, told)) = (channel(), channel());
    let events = Standing {
        stands: Mutex::new(stands),
        go: Mutex::new(told),
        first: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        let first =
            scope.spawn(|| pair.run_as(attempt(1), one_worker(), Arc::new(events), Cancel::new()));
        standing.recv().unwrap();
        let second =
            scope.spawn(|| pair.run_as(attempt(2), one_worker(), Arc::new(()), Cancel::new()));
        let state = pair.destination.join(".blit/state");
        wait_until("announce itself", || {
            fs::read_to_string(&state).is_ok_and(|text| text.contains("\"attempt\":2"))
        });
        assert_eq!(names(&pair.destination), 1, "both write");
        // As long as its last look is good for.
        std::thread::sleep(Duration::from_millis(100));
        go.send(()).unwrap();
        let first = first.join().unwrap();
        assert!(matches!(first.fatal, Some(Fatal::NewerAttempt(2))));
        let second = second.join().unwrap();
        assert!(second.is_complete(), "{second:?}");
        assert_eq!(second.progress.files_unchanged, 1, "what arrived was used");
    });
    assert!(!pair.destination.join(".blit").exists());
    pair.assert_mirrored();
}

#[test]
fn who_waits_for_an_earlier_attempt_can_be_cancelled() {
    let pair = pair();
    put_state(&pair.destination, "job", 1);
    let lock = fs::File::create(pair.destination.join(".blit/lock")).unwrap();
    lock.lock().unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let summary = pair.run_as(attempt(2), one_worker(), Arc::new(()), cancel);
    assert!(matches!(summary.fatal, Some(Fatal::Locked(_))));
    assert!(summary.interrupted);
    assert_eq!(names(&pair.destination), 0);
}

#[test]
fn nobody_waits_for_another_job_or_for_the_same_attempt() {
    for (job, number) in [("another job", 1), ("job", 2)] {
        let pair = pair();
        put_state(&pair.destination, job, number);
        let lock = fs::File::create(pair.destination.join(".blit/lock")).unwrap();
        lock.lock().unwrap();
        let summary = pair.run_as(attempt(2), one_worker(), Arc::new(()), Cancel::new());
        let fatal = summary.fatal.unwrap();
        assert!(
            fatal.to_string().contains("run abcdefghijkl from x"),
            "{fatal}"
        );
        let left = fs::read_to_string(pair.destination.join(".blit/state")).unwrap();
        assert!(left.contains("abcdefghijkl"), "it took the other's state");
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

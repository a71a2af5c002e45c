//! Sessions in which both sides are idle, over each plane and in both directions: the stall detector ends them, long before any
//! progress deadline, and says what was waited for.

use std::fs;
use std::time::{Duration, Instant};

use blit_e2e::process::start;

use crate::machine;
use crate::serve::Daemon;
use crate::stall::BLOCK_QUEUE;
use crate::standstill::{Direction, Plane, assert_stood_still, command, everywhere};

/// Files that are to be moved; none of them is.
const FILES: usize = 3;

/// How long both sides are idle before a run counts as stalled.
const IDLE: Duration = Duration::from_secs(10);

/// As [`IDLE`], with what comes before: the program starts, the session is opened, and the source says what it does twice a second.
const AT_MOST: Duration = Duration::from_secs(13);

/// Runs a session of every kind with the queue of a side blocked, and expects that what is said has these parts.
fn stalls_everywhere(side: &str, waited: &[&str]) {
    everywhere(|direction, plane| {
        let way = (direction, plane);
        // Whichever of the two is that side.
        let daemon = Daemon::start_with(&[], &[(BLOCK_QUEUE, side)]);
        let source = match direction {
            Direction::Push => daemon.work.path().join("source"),
            Direction::Pull => daemon.root(),
        };
        fs::create_dir_all(&source).unwrap();
        for n in 0..FILES {
            fs::write(source.join(format!("file-{n}")), "content").unwrap();
        }
        let mut command = command(&daemon, way, &source, |path| daemon.url(path));
        command.env(BLOCK_QUEUE, side);
        let begun = Instant::now();
        let finished = start(command)
            .unwrap()
            .finish_within(Duration::from_secs(60))
            .unwrap();
        let took = begun.elapsed();
        let summary = assert_stood_still(&finished, way);
        assert!(took >= IDLE && took < AT_MOST, "{way:?}: it took {took:?}");
        let said = summary["message"].as_str().unwrap();
        for waited in waited {
            assert!(said.contains(waited), "{way:?}: {said}");
        }
        let transport = if plane == Plane::Grpc { "GRPC" } else { "TCP" };
        assert_eq!(summary["transport"], transport, "{way:?}: {summary}");
        assert_eq!(summary["filesCopied"], 0, "{way:?}: {summary}");
        daemon.assert_survived();
    });
}

#[test]
fn a_destination_whose_queue_is_blocked_ends_the_session_with_40_and_says_what_both_waited_for() {
    let _shared = machine::shared();
    stalls_everywhere(
        "destination",
        &[
            "a turn at the queue, which holds",
            "3 files, the first file-",
            "; the source waited for files to be asked for",
        ],
    );
}

#[test]
fn a_source_that_sends_nothing_ends_the_session_with_40_and_says_what_both_waited_for() {
    let _shared = machine::shared();
    stalls_everywhere(
        "source",
        &[
            "content of 3 files from the source, the oldest file-",
            "; the source waited for a turn at its queue, which holds 3 files",
        ],
    );
}

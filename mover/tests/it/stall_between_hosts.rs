//! Sessions in which both sides are idle, over each plane and in both directions: the stall detector ends them, long before any
//! progress deadline, and says what was waited for.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use blit_e2e::tree::Content;

use crate::blit::{blit, manifest, spec, volume};
use crate::machine;
use crate::serve::Daemon;
use crate::stall::{BLOCK_QUEUE, expect_stall};
use crate::standstill::{Direction, Plane, command, everywhere};

/// What is said of a destination whose queue is blocked: what it waited for, and what the source did.
const DESTINATION: [&str; 3] = [
    "a turn at the queue, which holds",
    "3 files, the first file-",
    "; the source waited for files to be asked for",
];

/// What is said of a source whose queue is blocked.
const SOURCE: [&str; 2] = [
    "content of 3 files from the source, the oldest file-",
    "; the source waited for a turn at its queue, which holds 3 files",
];

/// Bytes of a file of which blocks are compared.
const LARGE: u64 = 65 << 20;

/// Makes the tree that is to be moved.
fn fill(source: &Path) {
    fs::create_dir_all(source).unwrap();
    for n in 0..3 {
        fs::write(source.join(format!("file-{n}")), "content").unwrap();
    }
}

/// Runs a command that must stall in time, on its plane, and say this.
fn stalls(command: Command, plane: Plane, waited: &[&str]) {
    let summary = expect_stall(command);
    let said = summary["message"].as_str().unwrap();
    for waited in waited {
        assert!(said.contains(waited), "{plane:?}: {said}");
    }
    let transport = if plane == Plane::Grpc { "GRPC" } else { "TCP" };
    assert_eq!(summary["transport"], transport, "{plane:?}: {summary}");
}

/// Pushes to daemons and pulls from them with the queue of this side blocked, whichever of the two that is.
fn sessions_stall(side: &str, waited: &[&str]) {
    everywhere(|direction, plane| {
        let daemon = Daemon::start_with(&[], &[(BLOCK_QUEUE, side)]);
        let source = match direction {
            Direction::Push => daemon.work.path().join("source"),
            Direction::Pull => daemon.root(),
        };
        fill(&source);
        let url = |path: &str| daemon.url(path);
        let mut command = command(&daemon, (direction, plane), &source, url);
        command.env(BLOCK_QUEUE, side);
        stalls(command, plane, waited);
        daemon.assert_survived();
    });
}

#[test]
fn a_session_whose_destination_is_blocked_ends_with_40_and_says_what_both_waited_for() {
    let _shared = machine::shared();
    sessions_stall("destination", &DESTINATION);
}

#[test]
fn a_session_whose_source_sends_nothing_ends_with_40_and_says_what_both_waited_for() {
    let _shared = machine::shared();
    sessions_stall("source", &SOURCE);
}

#[test]
fn a_source_that_sends_no_hashes_ends_the_session_with_40_and_the_first_file_is_named() {
    let _shared = machine::shared();
    // Of a small file one hash is asked for, of a large one those of some blocks.
    let (small, large) = (["--checksum"].as_slice(), [].as_slice());
    let session = |direction, (size, options): (u64, &[&str])| {
        let daemon = Daemon::start_with(&[], &[(BLOCK_QUEUE, "source")]);
        let pushed = (
            daemon.work.path().join("source"),
            daemon.root().join("pushed"),
        );
        let pulled = (daemon.root(), daemon.work.path().join("pulled"));
        let (source, destination) = match direction {
            Direction::Push => pushed,
            Direction::Pull => pulled,
        };
        for (tree, seed) in [(&source, 1), (&destination, 2)] {
            fs::create_dir_all(tree).unwrap();
            let file = fs::File::create_new(tree.join("file")).unwrap();
            Content::full(size, seed).write(&file).unwrap();
        }
        let url = |path: &str| daemon.url(path);
        let mut command = command(&daemon, (direction, Plane::Tcp), &source, url);
        command.args(options).env(BLOCK_QUEUE, "source");
        let waited = [
            "the run waited for hashes of 1 file from the source, the oldest file; ",
            "the source waited for a turn at its queue, which holds",
            "with hashes; ",
        ];
        stalls(command, Plane::Tcp, &waited);
        daemon.assert_survived();
    };
    thread::scope(|scope| {
        for direction in [Direction::Push, Direction::Pull] {
            for kind in [(7, small), (LARGE, large)] {
                scope.spawn(move || session(direction, kind));
            }
        }
    });
}

#[test]
fn movers_end_with_40_and_say_what_both_waited_for_on_every_plane_that_a_manifest_chooses() {
    let _shared = machine::shared();
    let mover = |(side, waited): (&str, &[&str]), (plane, transport): (Plane, &str)| {
        let work = tempfile::tempdir().unwrap();
        let source = work.path().join("source");
        fill(&source);
        let more = format!("transport: {transport}");
        let mut command = blit(&["run", "--json", "-f"]);
        command.arg(manifest(work.path(), &spec("Mirror", &more)));
        for claim in ["source", "destination"] {
            let directory = work.path().join(claim);
            command.arg("--volume").arg(volume(claim, &directory));
        }
        command.env(BLOCK_QUEUE, side);
        stalls(command, plane, waited);
    };
    thread::scope(|scope| {
        for side in [("destination", &DESTINATION[..]), ("source", &SOURCE)] {
            for plane in [
                (Plane::Tls, "{encryption: All, fallback: Deny}"),
                (Plane::Grpc, "{kind: GRPC}"),
            ] {
                scope.spawn(move || mover(side, plane));
            }
        }
    });
}

//! A file that one side alone reads for longer than the progress deadline, to compare it: the other side has nothing left to do,
//! and the run goes on all the same, whoever has the deadline.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use blit_crds::mirrorjob::Side;
use blit_e2e::area::Area;
use blit_e2e::faulty::{Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::start;

use crate::blit::{blit, manifest, spec, summary, volume};
use crate::machine;
use crate::serve::Daemon;

/// The progress deadline. Every step beside the comparison is faster, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(6);

/// How long the comparison takes on the slow side.
const COMPARED: Duration = Duration::from_secs(2 * DEADLINE.as_secs());

/// Bytes a second that the slow side reads: as many as are read at a time.
const RATE: u32 = 256 << 10;

/// What has the deadline, and looks whether the other side moves.
#[derive(Clone, Copy, Debug)]
enum Between {
    /// Two movers, each of which has it.
    Movers,
    /// A client that has none, and a daemon that writes.
    Push,
    /// A client that has none, and a daemon that reads.
    Pull,
}

/// Returns a daemon with the deadline that serves a tree.
fn daemon(tree: &Path) -> Daemon {
    let work = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(tree, work.path().join("root")).unwrap();
    let deadline = format!("{}s", DEADLINE.as_secs());
    Daemon::start_in(work, &["--progress-deadline", &deadline])
}

/// Mirrors by content what is the same on both sides, with one of them slow.
fn compares(between: Between, slow: Side) {
    let (area, faulty) = (
        Area::plain().unwrap(),
        Faulty::mount(Nature::default()).unwrap(),
    );
    let (late, ready) = (faulty.join("tree"), area.join("tree"));
    let content = vec![7; usize::try_from(COMPARED.as_secs() * u64::from(RATE)).unwrap()];
    // Nothing waits until it is not new any more.
    let past = SystemTime::now() - Duration::from_secs(60);
    for tree in [&late, &ready] {
        fs::create_dir(tree).unwrap();
        fs::write(tree.join("file"), &content).unwrap();
        let file = fs::File::options().write(true).open(tree.join("file"));
        file.unwrap().set_modified(past).unwrap();
    }
    faulty.throttle(RATE);
    let (source, destination) = match slow {
        Side::Source => (late, ready),
        Side::Destination => (ready, late),
    };
    let (served, command): (_, Command) = match between {
        Between::Movers => {
            let more = format!(
                "compare: Checksum\n  progressDeadlineSeconds: {}",
                DEADLINE.as_secs()
            );
            let mut command = blit(&["run", "--json", "-f"]);
            command.arg(manifest(area.path(), &spec("Mirror", &more)));
            for (claim, tree) in [("source", &source), ("destination", &destination)] {
                command.arg("--volume").arg(volume(claim, tree));
            }
            (None, command)
        }
        Between::Push | Between::Pull => {
            let (tree, kept) = match between {
                Between::Pull => (&source, &destination),
                _ => (&destination, &source),
            };
            let (daemon, kept) = (daemon(tree), kept.to_str().unwrap());
            let url = daemon.url("");
            let operands = match between {
                Between::Pull => ["pull", &url, kept],
                _ => ["push", kept, &url],
            };
            let args = [&operands[..], &["--mirror", "--checksum", "--json"]].concat();
            let command = daemon.command(&daemon.token(&[]), &args);
            (Some(daemon), command)
        }
    };
    let begun = Instant::now();
    let finished = start(command).unwrap().finish().unwrap();
    let what = format!("{between:?}, slow: {slow:?}");
    assert!(finished.code == Some(0), "{what}: {}", finished.stderr());
    assert!(begun.elapsed() >= COMPARED, "{what}: it was not slow");
    let summary = summary(&finished);
    assert_eq!(summary["filesUnchanged"], 1, "{what}: {summary}");
    assert_eq!(summary["bytesSent"], 0, "{what}: {summary}");
    faulty.heal();
    oracle::assert_mirrored(&source, &destination);
    if let Some(daemon) = served {
        daemon.assert_survived();
    }
}

#[test]
fn what_one_side_alone_reads_for_longer_than_the_progress_deadline_is_no_standstill() {
    let _shared = machine::shared();
    thread::scope(|scope| {
        for between in [Between::Movers, Between::Push, Between::Pull] {
            for slow in [Side::Source, Side::Destination] {
                scope.spawn(move || compares(between, slow));
            }
        }
    });
}

//! Sessions whose content stands still, over each plane and in both directions: they end when the progress deadline of the
//! daemon is over, with the exit code for that, and say what was waited for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;

use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::process::{Finished, start};

use crate::blit::summary;
use crate::detour::Detour;
use crate::machine;
use crate::serve::Daemon;

/// The progress deadline. Every step before the standstill is faster, also on a busy machine; the stall detector, which
/// waits for idle sides, takes longer.
const DEADLINE: &str = "6s";

/// The file that content stops in.
const FILE: &str = "below/stops";

/// Bytes of content that are passed on before it is held.
const HELD: u64 = 1 << 20;

/// Bytes of the file: more than all buffers on the way take.
const LARGE: u64 = 48 << 20;

/// Which side the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// It writes.
    Push,
    /// It reads.
    Pull,
}

/// How content travels, and no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Sockets.
    Tcp,
    /// Sockets with TLS.
    Tls,
    /// Inside gRPC.
    Grpc,
}

impl Plane {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["--no-fallback"],
            Self::Tls => &["--no-fallback", "--encryption", "all"],
            Self::Grpc => &["--force-grpc-data"],
        }
    }
}

/// Does something for every direction and plane, all at the same time.
pub(crate) fn everywhere(work: impl Fn(Direction, Plane) + Sync) {
    let work = &work;
    thread::scope(|scope| {
        for direction in [Direction::Push, Direction::Pull] {
            for plane in [Plane::Tcp, Plane::Tls, Plane::Grpc] {
                scope.spawn(move || work(direction, plane));
            }
        }
    });
}

/// Returns a daemon with a short deadline; its root is for pushes, `source` for pulls.
fn daemon(direction: Direction, source: &Path) -> Daemon {
    let deadline = ["--progress-deadline", DEADLINE];
    match direction {
        Direction::Push => Daemon::start(&deadline),
        Direction::Pull => {
            let work = tempfile::tempdir().unwrap();
            symlink(source, work.path().join("root")).unwrap();
            Daemon::start_in(work, &deadline)
        }
    }
}

/// Returns the command that moves `source` to a daemon, or from it; `url` gives that of a path there.
pub(crate) fn command(
    daemon: &Daemon,
    (direction, plane): (Direction, Plane),
    source: &Path,
    url: impl Fn(&str) -> String,
) -> Command {
    let source = source.to_str().unwrap();
    let (all, pushed) = (url(""), url("pushed"));
    let destination = daemon.work.path().join("pulled");
    let operands = match direction {
        Direction::Push => ["push", source, &pushed],
        Direction::Pull => ["pull", &all, destination.to_str().unwrap()],
    };
    let args = [&operands[..], plane.options(), &["--json"]].concat();
    daemon.command(&daemon.token(&[]), &args)
}

/// Expects the exit code of a standstill, and returns what was said.
#[track_caller]
fn assert_stood_still(finished: &Finished, way: (Direction, Plane)) -> String {
    finished.expect_code(40);
    let summary = summary(finished);
    assert_eq!(summary["result"], "Stalled", "{way:?}: {summary}");
    summary["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_source_whose_read_hangs_ends_the_session_and_is_named_on_every_plane() {
    let _shared = machine::shared();
    everywhere(|direction, plane| {
        let faulty = Faulty::mount(Nature::default()).unwrap();
        fs::create_dir(faulty.join("below")).unwrap();
        fs::write(faulty.join(FILE), "content").unwrap();
        faulty.hang(Call::Read, "stops");
        let daemon = daemon(direction, faulty.path());
        let way = (direction, plane);
        let running = start(command(&daemon, way, faulty.path(), |path| {
            daemon.url(path)
        }))
        .unwrap();
        let is_last = |line: &str| line.contains("\"type\":\"summary\"");
        let last = running.wait_for_line("end", is_last).unwrap();
        assert!(last.is_some(), "{way:?}: it ended without a summary");
        // A process does not go while the kernel waits for the read.
        faulty.release();
        let said = assert_stood_still(&running.finish().unwrap(), way);
        let named = format!("the call read on {FILE}");
        assert!(said.contains(&named), "{way:?}: {said}");
        daemon.assert_survived();
    });
}

#[test]
fn content_that_stops_on_its_way_ends_the_session_and_is_named_on_every_plane() {
    let _shared = machine::shared();
    let source = tempfile::tempdir().unwrap();
    fs::create_dir(source.path().join("below")).unwrap();
    let file = fs::File::create_new(source.path().join(FILE)).unwrap();
    blit_e2e::tree::Content::full(LARGE, 1)
        .write(&file)
        .unwrap();
    everywhere(|direction, plane| {
        let daemon = daemon(direction, source.path());
        let data = std::net::SocketAddr::new(daemon.address.ip(), daemon.data);
        let detour = Detour::to(&daemon, data, Some(HELD));
        let way = (direction, plane);
        let running = start(command(&daemon, way, source.path(), |path| {
            detour.url(path)
        }))
        .unwrap();
        let said = assert_stood_still(&running.finish().unwrap(), way);
        // Whoever decides that it is over says it from where it stands.
        let waited: &[&str] = match direction {
            Direction::Push => &["content of 1 file from the source", FILE],
            Direction::Pull => &[],
        };
        for waited in [waited, &["the other side to take what is sent"]].concat() {
            assert!(said.contains(waited), "{way:?}: {said}");
        }
        daemon.assert_survived();
    });
}

//! What a daemon and its clients put up with: trees as deep as they can be made, strangers in great number, sessions that
//! say nothing, requests that are not allowed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::start;
use blit_engine::fs::Dir;
use nix::sys::signal::Signal;
use rustix::net::{self, AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::machine;
use crate::serve::Daemon;

#[test]
fn a_purge_takes_memory_by_the_depth_of_a_tree_and_not_by_the_length_of_its_paths() {
    const LEVELS: usize = 1900;
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    fs::create_dir(daemon.root().join("deep")).unwrap();
    let mut dir = Dir::open_root(&daemon.root().join("deep")).unwrap();
    let name = [b'n'; 255];
    for _ in 0..LEVELS {
        dir.mkdir(&name, 0o700).unwrap();
        dir = dir.open_dir(&name).unwrap();
    }
    let token = daemon.token(&[]);
    for (more, said) in [
        ("--dry-run", "would remove 1,901"),
        ("--yes", "removed 1,901"),
    ] {
        let purged = daemon.ask(&token, &["purge", "{}", "deep", more]);
        purged.expect_code(0);
        assert!(purged.stdout().contains(said), "{}", purged.stdout());
    }
    assert!(!daemon.root().join("deep").exists());
    let mebibytes = peak_memory(daemon.running.id()) >> 20;
    daemon.running.signal(Signal::SIGTERM);
    daemon.running.finish().unwrap().expect_code(0);
    // All its paths together are 460 MB.
    assert!(mebibytes < 200, "it took {mebibytes} MiB");
}

/// Returns the peak memory of a living process in bytes. What the kernel says of one that has ended counts what its parent
/// held when it was started, and that is this process with all its other tests.
fn peak_memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|line| {
        let peak = line.strip_prefix("VmHWM:")?.trim();
        peak.strip_suffix(" kB")?.parse::<u64>().ok()
    });
    peak.unwrap() * 1024
}

/// A client that means well, with a file of its own.
struct Honest<'a> {
    daemon: &'a Daemon,
    token: String,
    source: PathBuf,
}

impl<'a> Honest<'a> {
    fn of(daemon: &'a Daemon) -> Self {
        let source = daemon.work.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "content").unwrap();
        Self {
            daemon,
            token: daemon.token(&[]),
            source,
        }
    }

    /// Pushes its file, and pulls it again.
    #[track_caller]
    fn assert_served(&self) {
        let back = self.daemon.work.path().join("back");
        let push = ["push", self.source.to_str().unwrap(), "{}here"];
        let pull = ["pull", "{}here", back.to_str().unwrap()];
        for [request, from, to] in [push, pull] {
            // Inside gRPC it would be served also where nobody gets to the data port.
            let request = [request, "--no-fallback", from, to];
            self.daemon.ask(&self.token, &request).expect_code(0);
        }
        oracle::assert_mirrored(&self.source, &back);
    }
}

#[test]
fn ten_thousand_strangers_who_say_nothing_keep_no_honest_client_out() {
    const STRANGERS: u32 = 10_000;
    /// Fewer than the daemon keeps of one address, and more.
    const OF_EACH: [u32; 2] = [50, STRANGERS];
    let _shared = machine::shared();
    let nofile = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: nofile.maximum,
        ..nofile
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    for of_each in OF_EACH {
        let daemon = Daemon::start(&[]);
        let honest = Honest::of(&daemon);
        let data = SocketAddr::new(daemon.address.ip(), daemon.data);
        let strangers: Vec<_> = (0..STRANGERS)
            .map(|number| {
                let port = [daemon.address, data][number as usize % 2];
                // All of 127.0.0.0/8 is this host.
                stranger(Ipv4Addr::from_bits(0x7f01_0001 + number / of_each), port)
            })
            .collect();
        honest.assert_served();
        drop(strangers);
        daemon.assert_survived();
    }
}

/// A connection from an address of this host.
fn stranger(from: Ipv4Addr, to: SocketAddr) -> OwnedFd {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    net::bind(&socket, &SocketAddr::new(from.into(), 0)).unwrap();
    net::connect(&socket, &to).unwrap();
    socket
}

#[test]
fn strangers_who_knock_all_at_once_neither_keep_an_honest_client_out_nor_fill_the_log() {
    /// Fewer than the daemon keeps of one address: more of them can push out whoever comes from there.
    const AT_ONCE: usize = 8;
    /// At each port.
    const KNOCKS: usize = 500;
    /// Sends them away, also where something fails.
    struct Served<'a>(&'a AtomicBool);
    impl Drop for Served<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let honest = Honest::of(&daemon);
    let ports = [
        daemon.address,
        SocketAddr::new(daemon.address.ip(), daemon.data),
    ];
    let knocks = [const { AtomicUsize::new(0) }; 2];
    let is_served = AtomicBool::new(false);
    // Nobody knows the first one's protocol, and the token of the second is none.
    let mut frame = [0; 1024];
    frame[..8].copy_from_slice(b"BLITDP2\0");
    std::thread::scope(|scope| {
        for stranger in 0..AT_ONCE {
            let (port, knocks) = (ports[stranger % 2], &knocks[stranger % 2]);
            let is_served = &is_served;
            scope.spawn(move || {
                while knocks.load(Ordering::Relaxed) < KNOCKS || !is_served.load(Ordering::Relaxed)
                {
                    let mut socket = TcpStream::connect(port).unwrap();
                    // It may be closed before all is written or read.
                    let _ = socket.write_all(&frame);
                    let _ = socket.read_to_end(&mut Vec::new());
                    knocks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _served = Served(&is_served);
        let begun = || {
            knocks
                .iter()
                .all(|knocks| knocks.load(Ordering::Relaxed) > 0)
        };
        assert!(daemon.running.wait_until("be knocked at", begun).unwrap());
        honest.assert_served();
    });
    daemon.ask(&honest.token, &["ping", "{}"]).expect_code(0);
    daemon.running.signal(Signal::SIGTERM);
    let finished = daemon.running.finish().unwrap();
    finished.expect_code(0);
    let log = finished.stderr();
    for what in ["control connection", "data socket"] {
        let lines = log.lines().filter(|line| line.contains(what)).count();
        // Ten of a minute, two about those that were counted.
        assert!(lines < KNOCKS / 4, "{lines} lines about a {what}: {log}");
        assert!(log.contains(&format!("more {what}s are refused")), "{log}");
    }
}

#[test]
fn a_push_in_which_nothing_moves_ends_and_gives_back_its_place() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&["--progress-deadline", "3s"]);
    let faulty = Faulty::mount(Nature::default()).unwrap();
    fs::write(faulty.join("hangs"), "content").unwrap();
    faulty.hang(Call::Read, "hangs");
    let token = daemon.token(&[]);
    let from = faulty.path().to_str().unwrap();
    let pushing = start(daemon.command(&token, &["push", from, "{}place"])).unwrap();
    let hangs = || faulty.hanging() > 0;
    assert!(pushing.wait_until("read what hangs", hangs).is_ok());
    // A call that hangs is no stall of the run: only the daemon ends this.
    let other = daemon.work.path().join("other");
    fs::create_dir(&other).unwrap();
    let push = ["push", other.to_str().unwrap(), "{}place"];
    let free = || daemon.ask(&token, &push).code == Some(0);
    let given_back = daemon.running.wait_until("give the place back", free);
    assert!(given_back.unwrap());
    faulty.release();
    let pushed = pushing.finish().unwrap();
    pushed.expect_code(40);
    daemon.assert_survived();
}

#[test]
fn what_is_not_allowed_is_told_as_that_with_what_helps() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    fs::create_dir(daemon.root().join("a")).unwrap();
    let reader = daemon.token(&["--scope", "read"]);
    let bound = daemon.token(&["--prefix", "/a"]);
    let source = daemon.work.path().to_str().unwrap();
    let scope = "--scope read,";
    let cases: [(&str, &[&str], &str); 5] = [
        (&reader, &["push", source, "{}a"], scope),
        (&reader, &["mirror", source, "{}a"], scope),
        (&reader, &["purge", "{}", "a", "--yes"], scope),
        (&bound, &["list", "{}"], "--prefix"),
        (&bound, &["pull", "{}", source], "--prefix"),
    ];
    for (token, args, remedy) in cases {
        let refused = daemon.ask(token, args);
        refused.expect_code(31);
        let said = refused.stderr();
        assert!(
            said.contains("not allowed at") && said.contains(remedy),
            "{args:?}: {said}"
        );
        assert!(!said.contains("not authenticated"), "{args:?}: {said}");
    }
    daemon.assert_survived();
    let work = tempfile::tempdir().unwrap();
    let source = work.path().to_str().unwrap();
    let daemon = Daemon::start(&["--read-only"]);
    let refused = daemon.ask(&daemon.token(&[]), &["push", source, "{}a"]);
    refused.expect_code(31);
    let said = refused.stderr();
    assert!(
        said.contains("started without --read-only") && !said.contains("--issue-token"),
        "{said}"
    );
    daemon.assert_survived();
}

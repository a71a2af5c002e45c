//! Peers of before: whichever side lacks a feature of the protocol, the tree that arrives is the same, and what cannot be had
//! without it is refused.
//!
//! What a release of before was like a switch of debug builds tells: such a program neither announces a feature nor asks for it.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::thread;

use blit_e2e::network::Network;
use blit_e2e::process::{Finished, run, start};
use blit_e2e::tree::Content;
use blit_e2e::{oracle, tree};
use blit_proto::pki::Role;
use blit_proto::version;
use serde_json::Value;

use crate::blit::{summary, wait_for_bytes};
use crate::checksum::alter_a_byte;
use crate::large_files::{MIB, alter, write};
use crate::machine;
use crate::movers::{Job, listening_at};
use crate::serve::Daemon;
use crate::serve_networks::{Hosts, Way};

/// Makes a debug build a peer without these features.
const WITHOUT: &str = "BLIT_TEST_WITHOUT_FEATURES";

/// A file of which parts can be sent.
const LARGE: u64 = 65 * MIB;

/// Files of which hashes can be sent, and no parts.
const MEDIUM: u64 = 3 * MIB;

/// Who is the older peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Older {
    Client,
    Daemon,
}

/// Every feature alone, and all of them.
fn lacking() -> Vec<Vec<String>> {
    let all = version::hello().features;
    assert!(all.len() > 3, "{all:?}");
    let alone = all.iter().map(|feature| vec![feature.clone()]);
    let mut lacking: Vec<_> = alone.collect();
    lacking.push(all);
    lacking
}

/// A client and a daemon, of which one lacks features.
struct Setting {
    way: Way,
    older: Older,
    without: Vec<String>,
    daemon: Daemon,
    source: PathBuf,
    destination: PathBuf,
}

impl Setting {
    /// Of everything that there is, and of files that are hashed, or sent in part, where both sides can.
    fn new(way: Way, older: Older, without: Vec<String>) -> Self {
        let names = without.join(",");
        let variables = match older {
            Older::Client => None,
            Older::Daemon => Some((WITHOUT, &*names)),
        };
        let daemon = Daemon::start_with(&[], variables.as_slice());
        let kept = daemon.work.path().join("kept");
        let (source, destination) = match way {
            Way::Push => (kept, daemon.root()),
            Way::Pull => (daemon.root(), kept),
        };
        for root in [&source, &destination] {
            fs::create_dir_all(root).unwrap();
        }
        tree::build(&tree::every_kind(), &source.join("everything")).unwrap();
        write(&source.join("large"), &Content::full(LARGE, 1));
        for (name, seed) in [("medium", 2), ("same", 3)] {
            write(&source.join(name), &Content::full(MEDIUM, seed));
        }
        Self {
            way,
            older,
            without,
            daemon,
            source,
            destination,
        }
    }

    fn lacks(&self, feature: &str) -> bool {
        self.without.iter().any(|lacking| lacking == feature)
    }

    /// Mirrors with these options.
    fn go(&self, options: &[&str]) -> Finished {
        let (source, destination) = (&self.source, &self.destination);
        let url = self.daemon.url("");
        let operands = match self.way {
            Way::Push => ["push", source.to_str().unwrap(), &url],
            Way::Pull => ["pull", &url, destination.to_str().unwrap()],
        };
        let args = [&operands[..], &["--mirror", "--json"], options].concat();
        let mut command = self.daemon.command(&self.daemon.token(&[]), &args);
        if self.older == Older::Client {
            command.env(WITHOUT, self.without.join(","));
        }
        run(command).unwrap()
    }

    /// Mirrors, judges the result, and checks how many bytes of content were sent.
    #[track_caller]
    fn sends(&self, options: &[&str], bytes: Range<u64>) -> Value {
        let finished = self.go(options);
        let what = format!("{self} {options:?}");
        assert!(finished.code == Some(0), "{what}: {}", finished.stderr());
        oracle::assert_mirrored(&self.source, &self.destination);
        let summary = summary(&finished);
        let sent = summary["bytesSent"].as_u64().unwrap();
        assert!(bytes.contains(&sent), "{what}: {sent} bytes, {summary}");
        summary
    }

    /// Mirrors with these options in vain, and changes nothing.
    #[track_caller]
    fn is_refused(&self, options: &[&str], code: i32, why: &str) {
        let refused = self.go(options);
        let (what, said) = (format!("{self} {options:?}"), refused.stderr());
        assert!(
            refused.code == Some(code),
            "{what}: {:?} {said}",
            refused.code
        );
        assert!(said.contains(why), "{what}: {said}");
        oracle::assert_mirrored(&self.source, &self.destination);
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (way, older) = (self.way, self.older);
        write!(f, "{way:?}, {older:?} without {:?}", self.without)
    }
}

/// Mirrors everything with a peer that lacks these features, then what changed, then by content, then with proofs.
fn mirrors(way: Way, older: Older, without: Vec<String>) {
    let setting = Setting::new(way, older, without);
    setting.sends(&[], LARGE..2 * LARGE);

    alter(&setting.source.join("large"), 40 * MIB + 1, 1);
    setting.sends(
        &[],
        match setting.lacks(version::PARTS) {
            true => LARGE..LARGE + MIB,
            false => 64 << 10..MIB,
        },
    );

    alter_a_byte(&setting.destination.join("medium"), MIB);
    setting.sends(
        &["--checksum"],
        match setting.lacks(version::BLAKE3) {
            // All that is not put together of parts.
            true => 2 * MEDIUM..2 * LARGE,
            false => MEDIUM..2 * MEDIUM,
        },
    );

    if setting.lacks(version::VERIFY) {
        setting.is_refused(&["--verify"], 32, "install the same release");
    } else {
        fs::write(setting.source.join("another"), "content").unwrap();
        let summary = setting.sends(&["--verify"], 7..MIB);
        let found = &summary["verification"];
        assert_eq!(found["compared"], 1, "{setting}: {summary}");
    }

    if setting.lacks(version::STREAMS) && way == Way::Push {
        let why = "too old for data inside gRPC";
        setting.is_refused(&["--force-grpc-data"], 30, why);
    }
    setting.daemon.assert_survived();
}

#[test]
fn with_a_peer_that_lacks_a_feature_the_tree_is_the_same_whichever_side_that_is() {
    let _shared = machine::shared();
    thread::scope(|scope| {
        for way in [Way::Push, Way::Pull] {
            for older in [Older::Client, Older::Daemon] {
                scope.spawn(move || {
                    for without in lacking() {
                        mirrors(way, older, without);
                    }
                });
            }
        }
    });
}

#[test]
fn movers_of_which_one_lacks_a_feature_make_the_same_tree_or_refuse_each_other() {
    let _shared = machine::shared();
    for without in lacking() {
        for older in [Role::Source, Role::Destination] {
            let what = format!("{older} without {without:?}");
            let work = tempfile::tempdir().unwrap();
            let job = Job::new(work.path());
            let (source, destination) = (work.path().join("source"), work.path().join("copy"));
            tree::build(&tree::every_kind(), &source).unwrap();
            fs::create_dir(&destination).unwrap();
            let attempt = |number, options: &[&str]| {
                let mut receives = job.destination(number, &destination);
                receives.args(options);
                if older == Role::Destination {
                    receives.env(WITHOUT, without.join(","));
                }
                let (receiving, control, _) = listening_at(receives);
                let mut sends = job.source(number, &source, control);
                if older == Role::Source {
                    sends.env(WITHOUT, without.join(","));
                }
                let sent = start(sends).unwrap().finish().unwrap();
                (receiving, sent)
            };
            let (receiving, sent) = attempt(1, &[]);
            assert!(sent.code == Some(0), "{what}: {}", sent.stderr());
            receiving.finish().unwrap().expect_code(0);
            oracle::assert_mirrored(&source, &destination);

            let proves = !without.iter().any(|lacking| lacking == version::VERIFY);
            let (receiving, sent) = attempt(2, &["--verify"]);
            if proves {
                assert!(sent.code == Some(0), "{what}: {}", sent.stderr());
                receiving.finish().unwrap().expect_code(0);
            } else {
                assert!(sent.code == Some(32), "{what}: {}", sent.stderr());
                // It goes on waiting for one that can.
                receiving.signal(nix::sys::signal::Signal::SIGTERM);
                receiving.finish().unwrap();
            }
            oracle::assert_mirrored(&source, &destination);
        }
    }
}

#[test]
fn a_stream_that_a_peer_cannot_replace_ends_the_session_and_the_next_one_brings_the_rest() {
    let _shared = machine::shared();
    let variables = [(WITHOUT, version::STREAMS)];
    for way in [Way::Push, Way::Pull] {
        let network = Network::new().unwrap();
        network.limit(400).unwrap();
        let hosts = Hosts::with(network, 100 * MIB, &variables);
        let (source, destination) = hosts.prepare(way);
        let client = hosts.go_with(way, &["--no-fallback"], &[]);
        wait_for_bytes(&client, &destination, 10 * MIB);
        let open = || hosts.network.connections(hosts.data).unwrap();
        assert!(client.wait_until("open a socket", || open() > 0).unwrap());
        hosts.network.reset(hosts.data).unwrap();
        let ended = client.finish().unwrap();
        ended.expect_code(30);
        hosts.wait_for_the_last_session();
        hosts.go(way).finish().unwrap().expect_code(0);
        oracle::assert_mirrored(&source, &destination);
    }
}

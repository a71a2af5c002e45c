//! Tokens that expire while a session is under way: what was begun goes on to its end, and nothing new begins.

use std::path::{Path, PathBuf};

use blit_e2e::oracle;

use crate::blit::{summary, wait_for_bytes};
use crate::machine;
use crate::serve_networks::{Hosts, Way};

/// How long a token lives: longer than it takes to begin, also on a busy machine.
const LIFETIME: &str = "10s";

/// Bytes of the file, and megabits per second: half a minute in all, most of which comes when the token has expired.
const BYTES: u64 = 180 << 20;
const MEGABITS: u32 = 50;

fn goes_on(way: Way) {
    let hosts = Hosts::new(MEGABITS, BYTES);
    let (source, destination) = hosts.prepare(way);
    let short = hosts.token(&["--expires", LIFETIME]);
    let running = hosts.start_with(&short, Some(way), &[]);
    wait_for_bytes(&running, &destination, 1 << 20);
    let refused = |args: &[&str]| {
        let asked = hosts.start_with(&short, None, args).finish().unwrap();
        asked.code == Some(31) && asked.stderr().contains("has expired")
    };
    let expired = running
        .wait_until("refuse what is new", || refused(&["ping", "{}"]))
        .unwrap();
    assert!(expired, "{way:?}: it ended before its token expired");
    // While the session is there nothing else can be done with its token.
    assert!(refused(&["list", "{}"]));
    let elsewhere: PathBuf = destination.join("elsewhere");
    assert!(refused(&["pull", "{}", elsewhere.to_str().unwrap()]));
    assert!(refused(&["push", source.to_str().unwrap(), "{}elsewhere"]));
    assert!(!Path::new(&elsewhere).exists());
    // Streams are replaced for as long as the session lasts.
    assert!(hosts.network.connections(hosts.data).unwrap() > 0);
    hosts.network.reset(hosts.data).unwrap();
    let finished = running.finish().unwrap();
    finished.expect_code(0);
    assert_eq!(summary(&finished)["transport"], "TCP", "{way:?}");
    oracle::assert_mirrored(&source, &destination);
    assert!(refused(&["ping", "{}"]), "{way:?}");
}

#[test]
fn a_push_goes_on_when_its_token_has_expired_and_nothing_new_begins() {
    let _shared = machine::shared();
    goes_on(Way::Push);
}

#[test]
fn a_pull_goes_on_when_its_token_has_expired_and_nothing_new_begins() {
    let _shared = machine::shared();
    goes_on(Way::Pull);
}

//! TLS on data sockets by the kernel, and beside it by the process.

use std::fs;
use std::process::Command;

use blit_e2e::cluster::Capture;
use blit_e2e::network::{Host, Network};
use blit_e2e::oracle;
use blit_e2e::process::{Running, run};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::hosts::{Hosts, Kernel, Taken, summary};

const MIB: u64 = 1 << 20;

const ENCRYPTED: &[&str] = &["--encryption", "all"];

fn share(told: &Value) -> f64 {
    told["zeroCopyShare"].as_f64().unwrap()
}

#[test]
fn a_push_and_a_pull_are_encrypted_by_the_kernels_and_nothing_is_copied() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(64 * MIB);
    let told = summary(&hosts.push(ENCRYPTED));
    oracle::assert_mirrored(&hosts.source(), &hosts.served());
    assert_eq!(told["transport"], "TCP", "{told}");
    assert!(share(&told) >= 0.95, "{told}");
    // Of each host one was for the trial. Keys are taken for both directions, whichever is used.
    let pushed = [hosts.taken(Host::Near), hosts.taken(Host::Far)];
    for taken in pushed {
        assert!(taken.to_send >= 2 && taken.to_receive >= 2, "{pushed:?}");
    }
    let told = summary(&hosts.pull(ENCRYPTED));
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
    assert!(share(&told) >= 0.95, "{told}");
    let pulled = [hosts.taken(Host::Near), hosts.taken(Host::Far)];
    for (pulled, pushed) in pulled.iter().zip(pushed) {
        assert!(pulled.to_send > pushed.to_send, "{pulled:?}, {pushed:?}");
        assert!(
            pulled.to_receive > pushed.to_receive,
            "{pulled:?}, {pushed:?}"
        );
    }
}

#[test]
fn what_is_not_asked_to_be_encrypted_goes_as_it_always_did() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(8 * MIB);
    let told = summary(&hosts.push(&[]));
    oracle::assert_mirrored(&hosts.source(), &hosts.served());
    assert!(share(&told) > 0.5, "{told}");
    for host in [Host::Near, Host::Far] {
        let none = Taken {
            to_send: 0,
            to_receive: 0,
        };
        assert_eq!(hosts.taken(host), none);
    }
}

#[test]
fn a_kernel_at_one_end_is_enough_for_that_end_and_the_other_notices_nothing() {
    for (daemon, dialler) in [
        (Kernel::Refuses, Kernel::Takes),
        (Kernel::Takes, Kernel::Refuses),
    ] {
        let hosts = Hosts::new(daemon, dialler);
        hosts.make_tree(8 * MIB);
        let pushed = summary(&hosts.push(ENCRYPTED));
        oracle::assert_mirrored(&hosts.source(), &hosts.served());
        let pulled = summary(&hosts.pull(ENCRYPTED));
        oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
        for (host, kernel) in [(Host::Near, daemon), (Host::Far, dialler)] {
            let taken = hosts.taken(host);
            let has = taken.to_send > 0 && taken.to_receive > 0;
            assert_eq!(has, kernel == Kernel::Takes, "{host:?}: {taken:?}");
        }
        // Who sends without a copy has the kernel encrypt.
        assert_eq!(share(&pushed) > 0.0, dialler == Kernel::Takes, "{pushed}");
        assert_eq!(share(&pulled) > 0.0, daemon == Kernel::Takes, "{pulled}");
    }
}

#[test]
fn what_the_kernels_encrypt_is_proven_when_that_is_asked_for() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(8 * MIB);
    let told = summary(&hosts.push(&[ENCRYPTED, &["--verify"]].concat()));
    oracle::assert_mirrored(&hosts.source(), &hosts.served());
    assert_eq!(told["verification"]["mismatches"], 0, "{told}");
    // Whoever proves what it sends has to look at it.
    assert_eq!(share(&told), 0.0, "{told}");
    assert!(hosts.taken(Host::Far).to_send >= 2);
    let told = summary(&hosts.pull(&[ENCRYPTED, &["--verify"]].concat()));
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
    assert_eq!(told["verification"]["mismatches"], 0, "{told}");
}

/// Waits until a run that was started when so much had been sent is in the middle of its content.
fn wait_for_the_middle(hosts: &Hosts, running: &Running, before: u64) {
    let is_there = || sent_bytes(&hosts.network) > before + 10 * MIB;
    let moved = running.wait_until("move content", is_there);
    assert!(moved.unwrap(), "it ended before it had moved content");
}

/// Counts what has left the hosts.
fn sent_bytes(network: &Network) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let of = |host| {
        let devices = network.inside(host, read).unwrap();
        let line = devices
            .lines()
            .find_map(|line| line.trim().strip_prefix("eth0:"));
        // The ninth number is of the bytes that were sent.
        let sent = line.unwrap().split_whitespace().nth(8).unwrap();
        sent.parse::<u64>().unwrap()
    };
    of(Host::Near) + of(Host::Far)
}

#[test]
fn streams_that_are_reset_in_the_middle_are_replaced_and_nothing_is_lost() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(40 * MIB);
    hosts.network.limit(60).unwrap();
    for pulls in [false, true] {
        let before = hosts.taken(Host::Far).to_send;
        let sent = sent_bytes(&hosts.network);
        let running = match pulls {
            false => hosts.start_push(ENCRYPTED),
            true => hosts.start_pull(ENCRYPTED),
        };
        wait_for_the_middle(&hosts, &running, sent);
        hosts.network.reset(hosts.data).unwrap();
        let told = summary(&running.finish().unwrap());
        assert_eq!(told["transport"], "TCP", "{told}");
        // The trial, two streams, and at least one in their place.
        let taken = hosts.taken(Host::Far).to_send - before;
        assert!(taken >= 4, "{taken} connections were encrypted");
        let there = if pulls {
            hosts.pulled()
        } else {
            hosts.served()
        };
        oracle::assert_mirrored(&hosts.source(), &there);
    }
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_is_no_good_bye() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(40 * MIB);
    summary(&hosts.push(ENCRYPTED));
    hosts.network.limit(60).unwrap();
    let before = sent_bytes(&hosts.network);
    let pulling = hosts.start_pull(ENCRYPTED);
    wait_for_the_middle(&hosts, &pulling, before);
    hosts.daemon.signal(Signal::SIGKILL);
    let pulled = pulling.finish().unwrap();
    pulled.expect_code(30);
    assert!(!hosts.pulled().join("large").exists());
}

#[test]
fn delay_and_loss_change_nothing() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    hosts.make_tree(8 * MIB);
    hosts.network.spoil("delay 5ms 2ms loss 1%").unwrap();
    for (finished, there) in [
        (hosts.push(ENCRYPTED), hosts.served()),
        (hosts.pull(ENCRYPTED), hosts.pulled()),
    ] {
        let told = summary(&finished);
        assert!(share(&told) > 0.5, "{told}");
        oracle::assert_mirrored(&hosts.source(), &there);
    }
}

/// What is nowhere but in a file.
const SECRET: &[u8; 32] = b"the quick brown fox is a secret\n";

#[test]
fn whoever_looks_at_the_cable_sees_content_only_where_it_is_not_encrypted() {
    let hosts = Hosts::new(Kernel::Takes, Kernel::Takes);
    let secrets = SECRET.repeat(1 << 15);
    // One that goes with others, one that goes alone.
    fs::write(hosts.source().join("small"), &secrets[..4096]).unwrap();
    fs::write(hosts.source().join("large"), &secrets).unwrap();
    for (options, is_seen) in [(&[][..], true), (ENCRYPTED, false)] {
        let namespace = hosts.network.namespace(Host::Near).unwrap();
        let capture = Capture::start(namespace, &[hosts.data]).unwrap();
        summary(&hosts.push(options));
        let streams = capture.end().unwrap();
        let said = streams.iter().filter(|said| said.to.port() == hosts.data);
        let said: Vec<_> = said.collect();
        // What was not seen proves nothing.
        assert!(said.iter().all(|said| said.whole));
        let bytes: usize = said.iter().map(|said| said.bytes.len()).sum();
        assert!(bytes > secrets.len(), "{bytes} bytes were seen");
        let has_secret = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET);
        let seen = said.iter().any(|said| has_secret(&said.bytes));
        assert_eq!(seen, is_seen, "{options:?}");
        oracle::assert_mirrored(&hosts.source(), &hosts.served());
        fs::remove_dir_all(hosts.served()).unwrap();
    }
}

#[test]
fn a_probe_says_that_the_kernel_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut probe = Command::new("blit");
    probe
        .args(["diagnostics", "probe", "--json"])
        .arg(folder.path());
    let found = run(probe).unwrap();
    found.expect_code(0);
    let found: Value = serde_json::from_str(&found.stdout()).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "kernel TLS");
    assert_eq!(check.unwrap()["available"], true, "{found}");
}

//! What `blit serve` gives or takes is continued, too, in the middle of a large file: whoever was killed, and when the link was
//! gone; and of a large file that changed a little only that comes. What crosses the network is counted, and the result judged.

mod far;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{Running, run, start};
use blit_e2e::tree::Content;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::{blit, summary, wait_for_bytes};
use crate::large_files::{
    ENCRYPTED, FORCED, IN_HAND, LIMIT, MIB, TCP, alter, arrived, assert_nothing_is_left,
    assert_only_the_rest, holding, partials, write,
};
use crate::machine;
use crate::relay::{OnData, Relay};
use crate::serve::{both_ports, serving, token};
use crate::serve_networks::{Hosts, LOST, Way};

/// A file of more than a region.
const SIZE: u64 = 96 * MIB + 12_345;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Client,
    Daemon,
}

/// A tree that a client mirrors to a daemon, or from it.
struct Setting {
    way: Way,
    /// How content travels.
    plane: &'static [&'static str],
    source: PathBuf,
    destination: PathBuf,
    /// Bytes of the large file that are no holes.
    content: u64,
    daemon: Daemon,
    area: Area,
}

/// A daemon, and where it listens.
struct Daemon {
    running: Running,
    control: u16,
    data: u16,
}

impl Daemon {
    /// Serves the folder `served`.
    fn start(area: &Area) -> Self {
        let mut command = serving(&area.join("served"));
        command.arg("--identity").arg(area.join("identity"));
        let running = start(command).unwrap();
        let (control, data) = both_ports(&running);
        let control = control.port();
        Self {
            running,
            control,
            data,
        }
    }
}

impl Setting {
    /// Makes a source with a large file and a small one.
    fn new(way: Way, plane: &'static [&'static str]) -> Self {
        let make = |large: &Path| write(large, &Content::full(SIZE, 1));
        Self::with(way, plane, SIZE, make)
    }

    /// As [`Self::new`], with another large file and so much content in it.
    fn with(
        way: Way,
        plane: &'static [&'static str],
        content: u64,
        make: impl FnOnce(&Path),
    ) -> Self {
        let area = Area::on(FileSystem::Tmpfs).unwrap();
        let (here, there) = (area.join("here"), area.join("served/tree"));
        let (source, destination) = match way {
            Way::Push => (here, there),
            Way::Pull => (there, here),
        };
        fs::create_dir_all(area.join("served")).unwrap();
        fs::create_dir(&source).unwrap();
        make(&source.join("large"));
        fs::write(source.join("small"), "small").unwrap();
        Self {
            way,
            plane,
            source,
            destination,
            content,
            daemon: Daemon::start(&area),
            area,
        }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = blit(args);
        let token = token(&self.area.join("identity"), &[]);
        command.env("BLIT_TOKEN", token);
        command
    }

    /// Starts a client, with a relay in between.
    fn start(&self, on_data: Arc<OnData>) -> (Running, Relay) {
        let relay = match self.plane {
            FORCED => Relay::to_one(self.daemon.control, on_data),
            _ => Relay::to(self.daemon.control, self.daemon.data, on_data),
        };
        let remote = PathBuf::from(format!("blit://{}/tree", relay.control));
        let (from, to) = match self.way {
            Way::Push => (&self.source, &remote),
            Way::Pull => (&remote, &self.destination),
        };
        let mut command = self.command(&["mirror", "--json"]);
        command.args(self.plane).arg(from).arg(to);
        (start(command).unwrap(), relay)
    }

    /// Mirrors, judges the result, and returns how many bytes crossed the network.
    fn mirror(&self) -> u64 {
        let (client, relay) = self.start(Arc::new(|_: &mut [u8]| ()));
        let finished = client.finish_within(LIMIT).unwrap();
        finished.expect_code(0);
        oracle::assert_mirrored(&self.source, &self.destination);
        assert_nothing_is_left(&self.destination);
        let (told, sent) = (summary(&finished), relay.passed());
        let transport = if self.plane == FORCED { "GRPC" } else { "TCP" };
        assert_eq!(told["transport"], transport, "{told}");
        // What the summary says is what crossed the network, but for frames.
        let said = told["bytesSent"].as_u64().unwrap();
        assert!(said <= sent && sent - said < MIB, "{said} of {sent}");
        sent
    }

    /// Kills one side when half of the large file lies at the destination and no more comes.
    fn killed_half_way(&mut self, victim: Victim) {
        let gate = Arc::default();
        let half = self.content / 2;
        let (on_data, held) = holding(half, &gate);
        let (client, _relay) = self.start(on_data);
        held.recv_timeout(LIMIT).unwrap();
        let there = || arrived(&self.destination) >= half - IN_HAND;
        assert!(client.wait_until("write half", there).unwrap());
        match victim {
            Victim::Client => {
                client.signal(Signal::SIGKILL);
                assert!(client.ended_within(LIMIT));
                gate.open();
                // The same daemon serves on.
                let over = || self.sessions() == 0;
                let daemon = &self.daemon.running;
                assert!(daemon.wait_until("end the session", over).unwrap());
            }
            Victim::Daemon => {
                self.daemon.running.signal(Signal::SIGKILL);
                assert!(self.daemon.running.ended_within(LIMIT));
                gate.open();
                client.finish_within(LOST).unwrap().expect_code(30);
                self.daemon = Daemon::start(&self.area);
            }
        }
        assert_eq!(partials(&self.destination).len(), 1);
        assert!(!self.destination.join("large").exists());
    }

    /// Asks the daemon how many sessions it has.
    fn sessions(&self) -> u64 {
        let url = format!("blit://127.0.0.1:{}", self.daemon.control);
        let pong = run(self.command(&["ping", "--json", &url])).unwrap();
        pong.expect_code(0);
        let pong: Value = serde_json::from_slice(&pong.stdout).unwrap();
        pong["sessions"].as_u64().unwrap()
    }
}

/// What is killed half way is continued by the next run.
fn continued(way: Way, victim: Victim, plane: &'static [&'static str]) {
    let mut setting = Setting::new(way, plane);
    setting.killed_half_way(victim);
    assert_only_the_rest(SIZE, setting.mirror());
}

#[test]
fn a_push_whose_client_was_killed_is_continued_in_the_middle_of_a_file() {
    let _shared = machine::shared();
    continued(Way::Push, Victim::Client, TCP);
}

#[test]
fn a_push_whose_daemon_was_killed_is_continued_in_the_middle_of_a_file() {
    let _shared = machine::shared();
    continued(Way::Push, Victim::Daemon, TCP);
}

#[test]
fn a_pull_whose_client_was_killed_is_continued_in_the_middle_of_a_file() {
    let _shared = machine::shared();
    continued(Way::Pull, Victim::Client, TCP);
}

#[test]
fn a_pull_whose_daemon_was_killed_is_continued_in_the_middle_of_a_file() {
    let _shared = machine::shared();
    continued(Way::Pull, Victim::Daemon, TCP);
}

#[test]
fn a_push_inside_grpc_is_continued_in_the_middle_of_a_file_too() {
    let _shared = machine::shared();
    continued(Way::Push, Victim::Client, FORCED);
}

#[test]
fn a_pull_inside_grpc_is_continued_in_the_middle_of_a_file_too() {
    let _shared = machine::shared();
    continued(Way::Pull, Victim::Daemon, FORCED);
}

/// Of a large file in which one byte is another one, one block is sent.
fn one_block_is_sent(way: Way, plane: &'static [&'static str]) {
    let setting = Setting::new(way, plane);
    let first = setting.mirror();
    assert!(first > SIZE, "only {first} bytes were sent");
    alter(&setting.source.join("large"), 70 * MIB + 1, 1);
    assert_one_block(setting.mirror());
}

/// Checks what was sent of a large file in which one block had changed.
#[track_caller]
fn assert_one_block(sent: u64) {
    // The block, and the hashes of all.
    let block = 64 << 10;
    assert!((block..MIB / 2).contains(&sent), "{sent} bytes were sent");
}

#[test]
fn of_a_large_file_that_changed_in_one_block_a_pull_gets_that_block_however_content_travels() {
    let _shared = machine::shared();
    for plane in [TCP, ENCRYPTED, FORCED] {
        one_block_is_sent(Way::Pull, plane);
    }
}

#[test]
fn of_a_large_file_that_changed_in_one_block_a_push_sends_that_block() {
    let _shared = machine::shared();
    one_block_is_sent(Way::Push, TCP);
}

/// The link goes down in the middle of the large file, and stays so until the client has left; the next run goes on.
fn continued_when_the_link_is_up_again(way: Way) {
    let hosts = Hosts::new(200, SIZE);
    let (source, destination) = hosts.prepare(way);
    let client = hosts.go(way);
    wait_for_bytes(&client, &destination, SIZE / 2);
    hosts.network.set_link(false).unwrap();
    client.finish_within(LOST).unwrap().expect_code(30);
    hosts.network.set_link(true).unwrap();
    hosts.wait_for_the_last_session();
    assert!(!destination.join("large").exists());
    let (there, before) = (arrived(&destination), hosts.network.carried().unwrap());
    hosts.go(way).finish_within(LIMIT).unwrap().expect_code(0);
    let sent = hosts.network.carried().unwrap() - before;
    oracle::assert_mirrored(&source, &destination);
    assert_nothing_is_left(&destination);
    assert_came_but_for(there, sent);
}

/// Checks what a second run sent of a file of which so much had come.
#[track_caller]
fn assert_came_but_for(there: u64, sent: u64) {
    assert!(there > SIZE / 2 - MIB, "only {there} bytes had come");
    // Besides it come headers of packets, the small files, and blocks of which only a part was written.
    let rest = SIZE.saturating_sub(there);
    assert!(
        (rest..rest + 8 * MIB).contains(&sent),
        "{sent} bytes were sent where {rest} were left"
    );
}

#[test]
fn a_push_that_lost_the_link_ends_with_30_and_is_continued_when_it_is_up_again() {
    let _shared = machine::shared();
    continued_when_the_link_is_up_again(Way::Push);
}

#[test]
fn a_pull_that_lost_the_link_ends_with_30_and_is_continued_when_it_is_up_again() {
    let _shared = machine::shared();
    continued_when_the_link_is_up_again(Way::Pull);
}

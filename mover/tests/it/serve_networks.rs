//! Pushing to a daemon on another host, and pulling from it, over a network that does not hold.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use blit_e2e::network::{Host, Network};
use blit_e2e::oracle;
use blit_e2e::process::{Running, start};
use blit_e2e::tree::Content;
use serde_json::Value;

use crate::blit::{blit, events, summary, wait_for_bytes};
use crate::machine;
use crate::movers::listening_as_said;
use crate::serve::token;

/// A daemon on the near host, and a tree with a large file on the far one.
pub(crate) struct Hosts {
    daemon: Running,
    work: tempfile::TempDir,
    pub(crate) network: Network,
    control: String,
    data: u16,
}

impl Hosts {
    pub(crate) fn new(megabits: u32, bytes: u64) -> Self {
        let network = Network::new().unwrap();
        network.limit(megabits).unwrap();
        Self::on(network, bytes)
    }

    fn on(network: Network, bytes: u64) -> Self {
        let work = tempfile::tempdir().unwrap();
        for name in ["root", "source"] {
            fs::create_dir(work.path().join(name)).unwrap();
        }
        let file = fs::File::create_new(work.path().join("source/large")).unwrap();
        Content::full(bytes, 3).write(&file).unwrap();
        for n in 0..100_u8 {
            fs::write(work.path().join(format!("source/small{n}")), vec![n; 3000]).unwrap();
        }
        let mut command = blit(&["serve", "--json", "--data-port", "0", "--listen"]);
        command.arg(network.socket(Host::Near, 0).to_string());
        command.arg("--root").arg(work.path().join("root"));
        command.arg("--identity").arg(work.path().join("identity"));
        let (daemon, listens) = listening_as_said(network.on(Host::Near, &command));
        Self {
            daemon,
            work,
            network,
            control: listens["control"].as_str().unwrap().to_owned(),
            data: listens["data"].as_u64().unwrap().try_into().unwrap(),
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.work.path().join("source")
    }

    pub(crate) fn destination(&self) -> PathBuf {
        self.work.path().join("root")
    }

    pub(crate) fn push(&self) -> Running {
        let mut command = blit(&["push", "--mirror", "--json"]);
        command.arg(self.source());
        command.arg(format!("blit://{}/", self.control));
        self.start(command)
    }

    /// Pulls what the daemon serves.
    pub(crate) fn pull(&self, options: &[&str]) -> Running {
        self.start(self.pulling(options))
    }

    fn pulling(&self, options: &[&str]) -> Command {
        let mut command = blit(&["pull", "--mirror", "--json"]);
        command.args(options);
        command.arg(format!("blit://{}/", self.control));
        command.arg(self.pulled());
        command
    }

    pub(crate) fn pulled(&self) -> PathBuf {
        self.work.path().join("pulled")
    }

    fn start(&self, mut command: Command) -> Running {
        let token = token(&self.work.path().join("identity"), &[]);
        command.env("BLIT_TOKEN", token);
        start(self.network.on(Host::Far, &command)).unwrap()
    }

    /// Waits until the daemon can be reached and has no session any more.
    pub(crate) fn wait_for_the_last_session(&self) {
        let over = || {
            let ping = blit(&["ping", "--json", &format!("blit://{}", self.control)]);
            let pong = self.start(ping).finish().unwrap();
            let pong: Value = serde_json::from_slice(&pong.stdout).unwrap_or_default();
            pong["sessions"] == 0
        };
        assert!(self.daemon.wait_until("end the session", over).unwrap());
    }

    /// Waits until so many bytes have arrived at the daemon.
    fn wait_for_bytes(&self, bytes: u64) {
        wait_for_bytes(&self.daemon, &self.destination(), bytes);
    }

    /// Puts the tree where the daemon serves it, and makes the place for it here.
    pub(crate) fn prepare_pull(&self) {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.source().join("."));
        assert!(copy.arg(self.destination()).status().unwrap().success());
        fs::create_dir(self.pulled()).unwrap();
    }
}

#[test]
fn a_pull_over_a_long_path_gets_more_streams_where_they_help() {
    let _shared = machine::shared();
    let hosts = Hosts::on(Network::new().unwrap(), 400 << 20);
    // There are enough copies of it.
    for name in fs::read_dir(hosts.source()).unwrap() {
        let from = name.unwrap();
        fs::rename(from.path(), hosts.destination().join(from.file_name())).unwrap();
    }
    let _long = hosts.network.delay(Duration::from_millis(25)).unwrap();
    let mut command = hosts.pulling(&[]);
    command.env("RUST_LOG", "blit_transport=debug");
    let pulled = hosts.start(command).finish().unwrap();
    pulled.expect_code(0);
    oracle::assert_mirrored(&hosts.destination(), &hosts.pulled());
    let said = pulled.stderr();
    assert!(
        said.contains("the number of data streams changes wanted=4"),
        "{said}"
    );
    for stream in 0..4 {
        let open = format!("a data stream is open stream={stream} plane=TCP");
        assert!(said.contains(&open), "{said}");
    }
}

#[test]
fn where_the_data_port_of_a_daemon_is_blocked_data_travels_inside_grpc_and_says_why() {
    let _shared = machine::shared();
    let hosts = Hosts::new(200, 100 << 20);
    hosts.network.block(hosts.data).unwrap();
    let pushed = hosts.push().finish().unwrap();
    pushed.expect_code(0);
    let events = events(&pushed);
    let fallbacks = events.iter().filter(|event| event["type"] == "fallback");
    let fallbacks: Vec<_> = fallbacks.collect();
    assert_eq!(fallbacks.len(), 1, "{fallbacks:?}");
    let reason = fallbacks[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    let summary = summary(&pushed);
    assert_eq!(summary["transport"], "GRPC", "{summary}");
    assert!(pushed.stderr().contains("TCP cannot be used"));
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
}

#[test]
fn where_the_data_port_is_blocked_a_pull_gets_its_data_inside_grpc_unless_that_is_denied() {
    let _shared = machine::shared();
    let hosts = Hosts::new(800, 9 << 20);
    hosts.push().finish().unwrap().expect_code(0);
    hosts.network.refuse(hosts.data).unwrap();
    let denied = hosts.pull(&["--no-fallback"]).finish().unwrap();
    denied.expect_code(30);
    assert!(denied.stderr().contains(&hosts.data.to_string()));
    hosts.network.unblock().unwrap();
    // Not refused: nothing comes back at all.
    hosts.network.block(hosts.data).unwrap();
    let pulled = hosts.pull(&["--verify"]).finish().unwrap();
    pulled.expect_code(0);
    let events = events(&pulled);
    let fallbacks = events.iter().filter(|event| event["type"] == "fallback");
    let fallbacks: Vec<_> = fallbacks.collect();
    assert_eq!(fallbacks.len(), 1, "{fallbacks:?}");
    let reason = fallbacks[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    let summary = summary(&pulled);
    assert_eq!(summary["transport"], "GRPC", "{summary}");
    assert_eq!(summary["verification"]["mismatches"], 0, "{summary}");
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
}

#[test]
fn data_sockets_to_a_daemon_that_are_reset_in_mid_file_are_replaced() {
    let _shared = machine::shared();
    let hosts = Hosts::new(400, 100 << 20);
    let push = hosts.push();
    for bytes in [10 << 20, 40 << 20] {
        hosts.wait_for_bytes(bytes);
        assert!(hosts.network.connections(hosts.data).unwrap() > 0);
        hosts.network.reset(hosts.data).unwrap();
    }
    let pushed = push.finish().unwrap();
    pushed.expect_code(0);
    let summary = summary(&pushed);
    assert_eq!(summary["transport"], "TCP", "{summary}");
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
}

#[test]
fn data_sockets_of_a_pull_that_are_reset_in_mid_file_are_replaced() {
    let _shared = machine::shared();
    for options in [&[][..], &["--verify", "--encryption", "all"]] {
        let hosts = Hosts::new(400, 100 << 20);
        hosts.prepare_pull();
        let pull = hosts.pull(options);
        for bytes in [10 << 20, 40 << 20] {
            wait_for_bytes(&pull, &hosts.pulled(), bytes);
            let open = || hosts.network.connections(hosts.data).unwrap() > 0;
            assert!(pull.wait_until("open data sockets", open).unwrap());
            hosts.network.reset(hosts.data).unwrap();
        }
        let pulled = pull.finish().unwrap();
        pulled.expect_code(0);
        oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
        let told = summary(&pulled);
        assert_eq!(told["transport"], "TCP", "{told}");
        // What had arrived did not arrive again, and is what was sent.
        let figure = |name: &str| told[name].as_u64().unwrap();
        assert!(
            figure("bytesSent") <= figure("bytesCopied") + (1 << 20),
            "{told}"
        );
        if options.contains(&"--verify") {
            assert_eq!(told["verification"]["mismatches"], 0, "{told}");
        }
    }
}

#[test]
fn a_data_port_that_swallows_a_pull_in_mid_file_is_left_for_grpc() {
    let _shared = machine::shared();
    let hosts = Hosts::new(200, 60 << 20);
    hosts.prepare_pull();
    let pull = hosts.pull(&[]);
    wait_for_bytes(&pull, &hosts.pulled(), 10 << 20);
    hosts.network.block(hosts.data).unwrap();
    let pulled = pull.finish().unwrap();
    pulled.expect_code(0);
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
    let events = events(&pulled);
    let fallback = events.iter().find(|event| event["type"] == "fallback");
    let reason = fallback.unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    assert_eq!(summary(&pulled)["transport"], "GRPC");
}

//! Pushing to a daemon on another host, and pulling from it, over a network that does not hold.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use blit_e2e::network::relay::{Relay, Treatment};
use blit_e2e::network::{Family, Host, Network};
use blit_e2e::process::{Finished, Running, start};
use blit_e2e::tree::Content;
use blit_e2e::{oracle, tree};
use serde_json::Value;

use crate::blit::{blit, summary, wait_for_bytes};
use crate::machine;
use crate::movers::listening_as_said;
use crate::serve::token;

/// How long a client may stay that has lost the daemon.
pub(crate) const LOST: Duration = Duration::from_secs(30);

/// Who has the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The client.
    Push,
    /// The daemon.
    Pull,
}

/// A daemon on the near host, and a tree with a large file on the far one.
pub(crate) struct Hosts {
    daemon: Running,
    work: tempfile::TempDir,
    pub(crate) network: Network,
    control: String,
    pub(crate) data: u16,
}

impl Hosts {
    pub(crate) fn new(megabits: u32, bytes: u64) -> Self {
        let network = Network::new().unwrap();
        network.limit(megabits).unwrap();
        Self::on(network, bytes)
    }

    fn on(network: Network, bytes: u64) -> Self {
        Self::with(network, bytes, &[])
    }

    /// The daemon has these variables.
    pub(crate) fn with(network: Network, bytes: u64, variables: &[(&str, &str)]) -> Self {
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
        command.envs(variables.iter().copied());
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
        self.start(self.pushing(&self.control))
    }

    fn pushing(&self, address: &str) -> Command {
        let mut command = blit(&["push", "--mirror", "--json"]);
        command.arg(self.source());
        command.arg(format!("blit://{address}/"));
        command
    }

    /// Pulls what the daemon serves.
    pub(crate) fn pull(&self, options: &[&str]) -> Running {
        self.start(self.pulling(&self.control, options))
    }

    fn pulling(&self, address: &str, options: &[&str]) -> Command {
        let mut command = blit(&["pull", "--mirror", "--json"]);
        command.args(options);
        command.arg(format!("blit://{address}/"));
        command.arg(self.pulled());
        command
    }

    pub(crate) fn pulled(&self) -> PathBuf {
        self.work.path().join("pulled")
    }

    /// Makes a token.
    pub(crate) fn token(&self, options: &[&str]) -> String {
        token(&self.work.path().join("identity"), options)
    }

    /// Starts a client with a token of its own: push and pull as the others do, or with these arguments, where `{}` is the URL.
    pub(crate) fn start_with(&self, token: &str, way: Option<Way>, args: &[&str]) -> Running {
        let mut command = match way {
            Some(Way::Push) => self.pushing(&self.control),
            Some(Way::Pull) => self.pulling(&self.control, &[]),
            None => {
                let url = format!("blit://{}/", self.control);
                let mut command = blit(&[]);
                command.args(args.iter().map(|arg| arg.replace("{}", &url)));
                command
            }
        };
        command.env("BLIT_TOKEN", token);
        start(self.network.on(Host::Far, &command)).unwrap()
    }

    fn start(&self, mut command: Command) -> Running {
        command.env("BLIT_TOKEN", self.token(&[]));
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

    /// Makes whatever this way needs; returns from where it goes, and to where.
    pub(crate) fn prepare(&self, way: Way) -> (PathBuf, PathBuf) {
        match way {
            Way::Push => (self.source(), self.destination()),
            Way::Pull => {
                self.prepare_pull();
                (self.destination(), self.pulled())
            }
        }
    }

    pub(crate) fn go(&self, way: Way) -> Running {
        self.start(self.going(way, &self.control))
    }

    pub(crate) fn go_with(
        &self,
        way: Way,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Running {
        let mut command = self.going(way, &self.control);
        command.args(options).envs(variables.iter().copied());
        self.start(command)
    }

    /// Returns the command that goes to the daemon by this address.
    fn going(&self, way: Way, address: &str) -> Command {
        match way {
            Way::Push => self.pushing(address),
            Way::Pull => self.pulling(address, &[]),
        }
    }

    fn control_port(&self) -> u16 {
        self.control.parse::<SocketAddr>().unwrap().port()
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
    let mut command = hosts.pulling(&hosts.control, &[]);
    command.env("RUST_LOG", "blit_transport=debug");
    let pulled = hosts.start(command).finish().unwrap();
    pulled.expect_code(0);
    oracle::assert_mirrored(&hosts.destination(), &hosts.pulled());
    let said = pulled.stderr();
    assert!(
        said.contains("the number of data streams changes wanted=4"),
        "{said}"
    );
    // On a busy machine TCP may be late, and content be inside gRPC for a moment.
    let open = said
        .lines()
        .filter(|line| line.contains("a data stream is open") && line.contains("plane=TCP"));
    assert!(open.count() >= 4, "{said}");
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

/// Mirrors one of everything, a large file and small ones over a network, whoever has the source.
fn is_mirrored_over(network: impl Fn() -> Network) {
    for way in [Way::Push, Way::Pull] {
        let hosts = Hosts::on(network(), 20 << 20);
        let everything = hosts.source().join("everything");
        tree::build(&tree::every_kind(), &everything).unwrap();
        let (source, destination) = hosts.prepare(way);
        let finished = hosts.go(way).finish().unwrap();
        finished.expect_code(0);
        oracle::assert_mirrored(&source, &destination);
        let told = summary(&finished);
        assert_eq!(told["transport"], "TCP", "{way:?}: {told}");
    }
}

#[test]
fn one_of_everything_is_pushed_and_pulled_where_there_is_only_ipv6() {
    let _shared = machine::shared();
    is_mirrored_over(|| Network::with(Family::V6Only).unwrap());
}

#[test]
fn one_of_everything_is_pushed_and_pulled_in_small_packets() {
    let _shared = machine::shared();
    is_mirrored_over(|| {
        let network = Network::new().unwrap();
        network.set_mtu(1280).unwrap();
        network
    });
}

#[test]
fn one_of_everything_is_pushed_and_pulled_over_a_narrow_link() {
    let _shared = machine::shared();
    is_mirrored_over(|| {
        let network = Network::new().unwrap();
        network.limit(20).unwrap();
        network
    });
}

#[test]
fn a_link_that_is_down_for_five_seconds_is_survived_by_a_push_and_by_a_pull() {
    let _shared = machine::shared();
    for way in [Way::Push, Way::Pull] {
        let hosts = Hosts::new(400, 100 << 20);
        let (source, destination) = hosts.prepare(way);
        let client = hosts.go(way);
        wait_for_bytes(&client, &destination, 10 << 20);
        hosts.network.set_link(false).unwrap();
        // Not a wait for something: this is how long it is down.
        std::thread::sleep(Duration::from_secs(5));
        assert!(!destination.join("large").exists());
        hosts.network.set_link(true).unwrap();
        client.finish().unwrap().expect_code(0);
        oracle::assert_mirrored(&source, &destination);
    }
}

/// Something happens to the control connection in the middle of a file: the client ends in time and says why, the daemon lets go
/// of the session, and once all is well again the next run completes.
fn ends_when(what: &str, happens: impl Fn(&Hosts) + Sync, ends: impl Fn(&Hosts) + Sync) {
    std::thread::scope(|scope| {
        for way in [Way::Push, Way::Pull] {
            let (happens, ends) = (&happens, &ends);
            scope.spawn(move || {
                // More than goes over the link before the silence of the control connection is noticed.
                let hosts = Hosts::new(100, 250 << 20);
                let (source, destination) = hosts.prepare(way);
                let client = hosts.go(way);
                wait_for_bytes(&client, &destination, 10 << 20);
                happens(&hosts);
                let finished = client.finish_within(LOST).unwrap();
                assert_is_lost(&finished, &format!("{way:?}, {what}"));
                assert!(!destination.join("large").exists());
                ends(&hosts);
                hosts.wait_for_the_last_session();
                hosts.go(way).finish().unwrap().expect_code(0);
                oracle::assert_mirrored(&source, &destination);
            });
        }
    });
}

/// The client says that it has lost the daemon, not that somebody broke a rule.
#[track_caller]
fn assert_is_lost(finished: &Finished, what: &str) {
    finished.expect_code(30);
    let said = finished.stderr();
    let words = ["the session with ", "broke off: ", "run again: "];
    assert!(
        words.iter().all(|word| said.contains(word)),
        "{what}: {said}"
    );
}

#[test]
fn a_control_port_that_is_blocked_in_mid_file_ends_a_push_and_a_pull_in_time() {
    let _shared = machine::shared();
    ends_when(
        "blocked",
        |hosts| hosts.network.block(hosts.control_port()).unwrap(),
        |hosts| hosts.network.unblock().unwrap(),
    );
}

#[test]
fn a_control_connection_that_is_reset_in_mid_file_ends_a_push_and_a_pull_and_the_next_goes_on() {
    let _shared = machine::shared();
    ends_when(
        "reset",
        |hosts| hosts.network.reset(hosts.control_port()).unwrap(),
        |_| (),
    );
}

#[test]
fn a_daemon_that_is_half_open_is_left_in_time_and_lets_go_of_the_session() {
    let _shared = machine::shared();
    for way in [Way::Push, Way::Pull] {
        // More than may be under way in the relay.
        let hosts = Hosts::new(400, 300 << 20);
        let (_, destination) = hosts.prepare(way);
        let ports = [hosts.control_port(), hosts.data];
        let relay = Relay::start(&hosts.network, &ports, Treatment::default()).unwrap();
        let there = hosts.network.socket(Host::Far, hosts.control_port());
        let client = hosts.start(hosts.going(way, &there.to_string()));
        wait_for_bytes(&client, &destination, 10 << 20);
        // Both ends keep their connections, and nothing comes from them.
        relay.freeze();
        let finished = client.finish_within(LOST).unwrap();
        assert_is_lost(&finished, &format!("{way:?}"));
        assert!(!destination.join("large").exists());
        hosts.wait_for_the_last_session();
    }
}

#[test]
fn a_push_that_comes_again_before_its_lost_session_was_given_up_waits_for_that() {
    let _shared = machine::shared();
    let hosts = Hosts::new(400, 300 << 20);
    let ports = [hosts.control_port(), hosts.data];
    let relay = Relay::start(&hosts.network, &ports, Treatment::default()).unwrap();
    let there = hosts.network.socket(Host::Far, hosts.control_port());
    let lost = hosts.start(hosts.going(Way::Push, &there.to_string()));
    wait_for_bytes(&lost, &hosts.destination(), 10 << 20);
    // For the daemon its client has gone without a word. Who comes again comes on another way.
    relay.freeze();
    let again = hosts.push().finish().unwrap();
    again.expect_code(0);
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
    lost.finish_within(LOST).unwrap().expect_code(30);
}

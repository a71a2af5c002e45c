//! Two movers on two hosts, over every kind of network that hosts have between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use blit_crds::mirrorjob::{SelectedTransport, TransportKind};
use blit_crds::outcome::{Reason, TerminationMessage};
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::network::relay::{Relay, Treatment};
use blit_e2e::network::{Family, Host, Network};
use blit_e2e::process::{Finished, Running, start};
use blit_e2e::tree::Content;
use blit_e2e::{oracle, tree};
use blit_transport::data::kernel_tls;

use crate::blit::{self, events, summary};
use crate::machine;
use crate::movers::{Job, listening_as_said};

/// How long a mover may stay that has lost the other.
const LIMIT: Duration = Duration::from_secs(30);

/// Two hosts with a tree on one of them.
struct Hosts {
    area: Area,
    network: Network,
    job: Job,
}

/// Both movers under way.
struct Pair {
    receiver: Running,
    sender: Running,
}

impl Hosts {
    fn new(network: Network) -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        tree::build(&tree::every_kind(), &area.join("source")).unwrap();
        std::fs::create_dir(area.join("destination")).unwrap();
        let job = Job::new(area.path());
        Self { area, network, job }
    }

    fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    fn destination(&self) -> PathBuf {
        self.area.join("destination")
    }

    /// Starts the destination; returns where it listens.
    fn listen(&self) -> (Running, SocketAddr, u16) {
        self.listen_with(&[])
    }

    fn listen_with(&self, options: &[&str]) -> (Running, SocketAddr, u16) {
        let listen = self.network.socket(Host::Near, 0).to_string();
        let mut command = self.job.destination_at(1, &self.destination(), &listen);
        command.args(options);
        let (mover, listens) = listening_as_said(self.network.on(Host::Near, &command));
        let control = listens["control"].as_str().unwrap().parse().unwrap();
        let data = listens["data"].as_u64().unwrap().try_into().unwrap();
        (mover, control, data)
    }

    fn dial(&self, control: SocketAddr, options: &[&str]) -> Running {
        let mut command = self.job.source(1, &self.source(), control);
        command.args(options);
        start(self.network.on(Host::Far, &command)).unwrap()
    }

    fn start(&self) -> Pair {
        let (receiver, control, _) = self.listen();
        let sender = self.dial(control, &[]);
        Pair { receiver, sender }
    }

    /// Expects that both end well and the trees are the same; returns the last word of the destination.
    #[track_caller]
    fn assert_mirrored(&self, pair: Pair) -> TerminationMessage {
        pair.sender.finish().unwrap().expect_code(0);
        pair.receiver.finish().unwrap().expect_code(0);
        oracle::assert_mirrored(&self.source(), &self.destination());
        self.job.last_word("destination", 1)
    }
}

#[test]
fn one_of_everything_is_mirrored_between_hosts() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.assert_mirrored(hosts.start());
}

#[test]
fn one_of_everything_is_mirrored_where_there_is_only_ipv6() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::with(Family::V6Only).unwrap());
    hosts.assert_mirrored(hosts.start());
}

#[test]
fn one_of_everything_is_mirrored_in_small_packets() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.set_mtu(1280).unwrap();
    hosts.assert_mirrored(hosts.start());
}

#[test]
fn a_long_path_gets_more_streams_where_they_help() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    large(&hosts, 400 << 20);
    let (receiver, control, _) = hosts.listen();
    let _long = hosts.network.delay(Duration::from_millis(25)).unwrap();
    let mut command = hosts.job.source(1, &hosts.source(), control);
    command.env("RUST_LOG", "blit_transport=debug");
    let sender = start(hosts.network.on(Host::Far, &command)).unwrap();
    let sent = sender.finish().unwrap();
    sent.expect_code(0);
    receiver.finish().unwrap().expect_code(0);
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
    let more = "the number of data streams changes wanted=4";
    assert!(sent.stderr().contains(more), "{}", sent.stderr());
}

/// Makes a file that takes long enough to be met in its middle.
fn large(hosts: &Hosts, bytes: u64) {
    let file = std::fs::File::create_new(hosts.source().join("large")).unwrap();
    Content::full(bytes, 3).write(&file).unwrap();
}

/// Waits until so many bytes of the large file have arrived.
fn wait_for_bytes(hosts: &Hosts, pair: &Pair, bytes: u64) {
    blit::wait_for_bytes(&pair.receiver, &hosts.destination(), bytes);
}

#[test]
fn where_the_data_port_is_blocked_data_travels_inside_grpc_and_says_why() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.limit(200).unwrap();
    large(&hosts, 120 << 20);
    let (receiver, control, data) = hosts.listen();
    hosts.network.block(data).unwrap();
    let sender = hosts.dial(control, &[]);
    let (sent, received) = (sender.finish().unwrap(), receiver.finish().unwrap());
    for finished in [&sent, &received] {
        finished.expect_code(0);
        let events = events(finished);
        let fallback = events.iter().find(|event| event["type"] == "fallback");
        let fallback = fallback.unwrap_or_else(|| panic!("no fallback in {events:?}"));
        assert_eq!(
            (&fallback["from"], &fallback["to"]),
            (&"TCP".into(), &"GRPC".into())
        );
        let reason = fallback["reason"].as_str().unwrap();
        assert!(reason.contains(&data.to_string()), "{reason}");
        assert_eq!(summary(finished)["transport"], "GRPC");
        assert!(finished.stderr().contains("TCP cannot be used"));
    }
    assert_eq!(summary(&sent)["zeroCopyShare"], 0.0);
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
    for side in ["source", "destination"] {
        let word = hosts.job.last_word(side, 1);
        let [tried] = &word.tried[..] else {
            panic!("not one plane was tried: {word:?}");
        };
        assert_eq!(tried.kind, TransportKind::Tcp);
        assert!(
            tried.reason.contains(&format!(":{data}")),
            "{}",
            tried.reason
        );
    }
    let word = hosts.job.last_word("destination", 1);
    assert_eq!(word.transport, Some(SelectedTransport::Grpc));
}

#[test]
fn data_moves_from_grpc_to_tcp_when_the_port_opens() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.limit(400).unwrap();
    large(&hosts, 160 << 20);
    let (receiver, control, data) = hosts.listen();
    hosts.network.block(data).unwrap();
    let sender = hosts.dial(control, &[]);
    let pair = Pair { receiver, sender };
    wait_for_bytes(&hosts, &pair, 8 << 20);
    hosts.network.unblock().unwrap();
    let finished = pair.sender.finish().unwrap();
    pair.receiver.finish().unwrap().expect_code(0);
    finished.expect_code(0);
    let summary = summary(&finished);
    assert_eq!(summary["transport"], "TCP");
    let share = summary["zeroCopyShare"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0, "{share}");
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
}

#[test]
fn where_fallback_is_denied_a_blocked_data_port_is_named() {
    let _shared = machine::shared();
    for refuses in [true, false] {
        let hosts = Hosts::new(Network::new().unwrap());
        let (receiver, control, data) = hosts.listen();
        if refuses {
            hosts.network.refuse(data).unwrap();
        } else {
            hosts.network.block(data).unwrap();
        }
        let sender = hosts.dial(control, &["--no-fallback"]);
        let finished = sender.finish_within(LIMIT).unwrap();
        finished.expect_code(30);
        let port = format!(":{data}");
        assert!(finished.stderr().contains(&port), "{}", finished.stderr());
        receiver.finish_within(LIMIT).unwrap().expect_code(30);
        let word = hosts.job.last_word("source", 1);
        assert_eq!(word.reason(), Some(Reason::TransportUnavailable));
        assert!(word.message.contains("allow TCP to this port"), "{word:?}");
        let [tried] = &word.tried[..] else {
            panic!("not one plane was tried: {word:?}");
        };
        assert_eq!(tried.kind, TransportKind::Tcp);
        assert!(tried.reason.contains(&port), "{}", tried.reason);
    }
}

#[test]
fn content_travels_inside_grpc_where_that_is_forced() {
    let _shared = machine::shared();
    for (options, variable) in [(&["--force-grpc-data"][..], None), (&[], Some("1"))] {
        let hosts = Hosts::new(Network::new().unwrap());
        large(&hosts, 20 << 20);
        let (receiver, control, _) = hosts.listen();
        let mut command = hosts.job.source(1, &hosts.source(), control);
        command.args(options);
        if let Some(value) = variable {
            command.env("BLIT_FORCE_GRPC_DATA", value);
        }
        let sender = start(hosts.network.on(Host::Far, &command)).unwrap();
        let finished = sender.finish().unwrap();
        finished.expect_code(0);
        receiver.finish().unwrap().expect_code(0);
        assert_eq!(summary(&finished)["transport"], "GRPC");
        assert!(
            events(&finished)
                .iter()
                .all(|event| event["type"] != "fallback")
        );
        oracle::assert_mirrored(&hosts.source(), &hosts.destination());
    }
}

#[test]
fn nothing_of_the_content_can_be_read_on_the_way_where_all_is_encrypted() {
    let _shared = machine::shared();
    let secret = b"the crown jewels are under the third stone";
    for (options, readable) in [(&[][..], true), (&["--encryption", "all"], false)] {
        let hosts = Hosts::new(Network::new().unwrap());
        std::fs::write(hosts.source().join("small"), secret).unwrap();
        let large = secret.repeat(100_000);
        std::fs::write(hosts.source().join("large"), large).unwrap();
        let (receiver, control, data) = hosts.listen();
        let treatment = Treatment {
            delay: Duration::ZERO,
            keep: true,
        };
        let ports = [control.port(), data];
        let relay = Relay::start(&hosts.network, &ports, treatment).unwrap();
        let there = hosts.network.socket(Host::Far, control.port());
        let sender = hosts.dial(there, &[options, &["--no-fallback"]].concat());
        let finished = sender.finish().unwrap();
        finished.expect_code(0);
        receiver.finish().unwrap().expect_code(0);
        oracle::assert_mirrored(&hosts.source(), &hosts.destination());
        assert!(relay.seen() > secret.len() * 100_000);
        assert_eq!(relay.saw(secret), readable, "{options:?}");
        let summary = summary(&finished);
        assert_eq!(summary["transport"], "TCP");
        // What nobody can read is sent without a copy only by a kernel that encrypts it.
        let without_a_copy = readable || kernel_tls::probe().is_ok();
        let share = summary["zeroCopyShare"].as_f64().unwrap();
        assert_eq!(share > 0.0, without_a_copy, "{summary}");
    }
}

#[test]
fn data_sockets_that_are_reset_twice_in_mid_file_are_replaced() {
    let _shared = machine::shared();
    reset_twice(&[], &[]);
}

#[test]
fn what_goes_on_after_a_reset_is_proven_too() {
    let _shared = machine::shared();
    let received = reset_twice(&["--verify"], &["--encryption", "all"]);
    // The codes of pieces that were cut are right, or they would have been brought again.
    let found = &summary(&received)["verification"];
    assert_eq!(found["mismatches"], 0, "{found}");
}

/// Resets every data socket twice in the middle of a file, and returns how the destination ended.
fn reset_twice(of_destination: &[&str], of_source: &[&str]) -> Finished {
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.limit(800).unwrap();
    large(&hosts, 200 << 20);
    let (receiver, control, data) = hosts.listen_with(of_destination);
    let sender = hosts.dial(control, of_source);
    let pair = Pair { receiver, sender };
    for bytes in [20 << 20, 80 << 20] {
        wait_for_bytes(&hosts, &pair, bytes);
        // On a busy machine TCP may be late, and content be inside gRPC for a moment.
        let open = || hosts.network.connections(data).unwrap() > 0;
        assert!(pair.receiver.wait_until("open data sockets", open).unwrap());
        hosts.network.reset(data).unwrap();
    }
    let finished = pair.sender.finish().unwrap();
    let received = pair.receiver.finish().unwrap();
    finished.expect_code(0);
    received.expect_code(0);
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
    // What had arrived did not arrive again.
    let told = summary(&received);
    let figure = |name: &str| told[name].as_u64().unwrap();
    assert!(figure("bytesSent") <= figure("bytesCopied") + (1 << 20));
    assert_eq!(told["transport"], "TCP");
    received
}

#[test]
fn a_data_port_that_swallows_everything_in_mid_file_is_left_for_grpc() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.limit(200).unwrap();
    large(&hosts, 100 << 20);
    let (receiver, control, data) = hosts.listen();
    let sender = hosts.dial(control, &[]);
    let pair = Pair { receiver, sender };
    wait_for_bytes(&hosts, &pair, 10 << 20);
    // From here on neither end hears anything of the other there: nobody is told that the port is closed.
    hosts.network.block(data).unwrap();
    let sent = pair.sender.finish().unwrap();
    let received = pair.receiver.finish().unwrap();
    for finished in [&sent, &received] {
        finished.expect_code(0);
        let events = events(finished);
        let fallback = events.iter().find(|event| event["type"] == "fallback");
        let reason = fallback.unwrap()["reason"].as_str().unwrap();
        assert!(reason.contains(&data.to_string()), "{reason}");
        assert_eq!(summary(finished)["transport"], "GRPC");
    }
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
}

#[test]
fn a_link_that_is_down_for_five_seconds_is_survived() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    hosts.network.limit(400).unwrap();
    large(&hosts, 100 << 20);
    let pair = hosts.start();
    wait_for_bytes(&hosts, &pair, 10 << 20);
    hosts.network.set_link(false).unwrap();
    // Not a wait for something: this is how long it is down.
    std::thread::sleep(Duration::from_secs(5));
    hosts.network.set_link(true).unwrap();
    hosts.assert_mirrored(pair);
}

#[test]
fn a_link_that_is_down_for_good_and_a_control_port_that_is_blocked_end_both_movers_in_time() {
    let _shared = machine::shared();
    std::thread::scope(|scope| {
        for link in [true, false] {
            scope.spawn(move || {
                let hosts = Hosts::new(Network::new().unwrap());
                hosts.network.limit(400).unwrap();
                large(&hosts, 400 << 20);
                let (receiver, control, _) = hosts.listen();
                let sender = hosts.dial(control, &[]);
                let pair = Pair { receiver, sender };
                wait_for_bytes(&hosts, &pair, 10 << 20);
                if link {
                    hosts.network.set_link(false).unwrap();
                } else {
                    hosts.network.block(control.port()).unwrap();
                }
                let (sender, receiver) = (pair.sender, pair.receiver);
                for mover in [sender, receiver] {
                    let finished = mover.finish_within(LIMIT).unwrap();
                    finished.expect_code(30);
                    assert!(!finished.stderr().is_empty());
                }
            });
        }
    });
}

#[test]
fn a_peer_that_is_half_open_is_left_in_time() {
    let _shared = machine::shared();
    let hosts = Hosts::new(Network::new().unwrap());
    large(&hosts, 100 << 20);
    let (receiver, control, data) = hosts.listen();
    let treatment = Treatment {
        delay: Duration::from_millis(25),
        keep: false,
    };
    let relay = Relay::start(&hosts.network, &[control.port(), data], treatment).unwrap();
    let there = hosts.network.socket(Host::Far, control.port());
    let sender = hosts.dial(there, &[]);
    let pair = Pair { receiver, sender };
    wait_for_bytes(&hosts, &pair, 1 << 20);
    relay.freeze();
    for mover in [pair.sender, pair.receiver] {
        mover.finish_within(LIMIT).unwrap().expect_code(30);
    }
}

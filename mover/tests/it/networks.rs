//! Two movers on two hosts, over every kind of network that hosts have between them.

use blit_crds::outcome::TerminationMessage;
use blit_e2e::area::{Area, FileSystem};
use blit_e2e::network::{Family, Host, Network};
use blit_e2e::process::{Running, start};
use blit_e2e::{oracle, tree};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::machine;
use crate::movers::{Job, listening};

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
    fn listen(&self) -> (Running, SocketAddr) {
        let listen = self.network.socket(Host::Near, 0).to_string();
        let command = self.job.destination_at(1, &self.destination(), &listen);
        listening(self.network.on(Host::Near, &command))
    }

    fn dial(&self, control: SocketAddr) -> Running {
        let command = self.job.source(1, &self.source(), control);
        start(self.network.on(Host::Far, &command)).unwrap()
    }

    fn start(&self) -> Pair {
        let (receiver, control) = self.listen();
        let sender = self.dial(control);
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

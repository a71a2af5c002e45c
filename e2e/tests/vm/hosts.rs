//! A daemon on one host and somebody who pushes and pulls on another, joined by a cable; each end's kernel counts what it encrypts,
//! and either can be had to refuse.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::network::{Host, Network};
use blit_e2e::process::{Finished, Running, run, start};
use blit_e2e::sandbox::{self, Refused};
use blit_e2e::tree::{Content, Holes};
use nix::libc;
use serde_json::Value;

/// The two hosts.
pub(crate) struct Hosts {
    pub(crate) network: Network,
    /// The data port of the daemon.
    pub(crate) data: u16,
    control: String,
    pub(crate) daemon: Running,
    area: Area,
    dialler: Kernel,
}

/// What the kernel says when it is to speak TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    Takes,
    Refuses,
}

/// How often the kernel of a host has taken the keys of a connection, to send and to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) to_send: u64,
    pub(crate) to_receive: u64,
}

impl Hosts {
    /// Starts the daemon.
    pub(crate) fn new(daemon: Kernel, dialler: Kernel) -> Self {
        let network = Network::new().unwrap();
        let area = Area::of_size(FileSystem::Ext4, 2 << 30).unwrap();
        for name in ["served", "source", "pulled"] {
            fs::create_dir(area.join(name)).unwrap();
        }
        let mut command = Command::new("blit");
        command.args(["serve", "--json", "--data-port", "0", "--listen"]);
        command.arg(network.socket(Host::Near, 0).to_string());
        command.arg("--root").arg(area.join("served"));
        command.arg("--identity").arg(area.join("identity"));
        let running = start(confined(network.on(Host::Near, &command), daemon)).unwrap();
        let listens = running
            .wait_for_line("say where it listens", |line| line.contains("\"listen\""))
            .unwrap()
            .unwrap();
        let listens: Value = serde_json::from_str(&listens).unwrap();
        let listens = &listens["listen"];
        Self {
            control: listens["control"].as_str().unwrap().to_owned(),
            data: listens["data"].as_u64().unwrap().try_into().unwrap(),
            daemon: running,
            network,
            area,
            dialler,
        }
    }

    /// The tree that is pushed.
    pub(crate) fn source(&self) -> PathBuf {
        self.area.join("source")
    }

    /// Where it arrives at the daemon.
    pub(crate) fn served(&self) -> PathBuf {
        self.area.join("served/tree")
    }

    /// Where it arrives when it is pulled back.
    pub(crate) fn pulled(&self) -> PathBuf {
        self.area.join("pulled")
    }

    /// Makes links, small files, one with a hole in the middle, and a large one of so many bytes.
    pub(crate) fn make_tree(&self, large: u64) {
        let source = self.source();
        fs::create_dir(source.join("small")).unwrap();
        for n in 0..300_usize {
            let content = vec![n as u8; n * 37];
            fs::write(source.join(format!("small/{n}")), content).unwrap();
        }
        symlink("nowhere", source.join("link")).unwrap();
        fs::hard_link(source.join("small/7"), source.join("again")).unwrap();
        for (name, size, holes) in [
            ("large", large, Holes::None),
            ("holes", 3 << 20, Holes::Middle),
        ] {
            let file = fs::File::create_new(source.join(name)).unwrap();
            let seed = size;
            let content = Content { size, holes, seed };
            content.write(&file).unwrap();
        }
    }

    /// Pushes the tree.
    pub(crate) fn push(&self, options: &[&str]) -> Finished {
        self.start_push(options).finish().unwrap()
    }

    pub(crate) fn start_push(&self, options: &[&str]) -> Running {
        let mut command = Command::new("blit");
        command.args(["push", "--mirror", "--json", "--no-fallback"]);
        command.args(options).arg(self.source()).arg(self.url());
        self.start(command)
    }

    /// Pulls it back.
    pub(crate) fn pull(&self, options: &[&str]) -> Finished {
        self.start_pull(options).finish().unwrap()
    }

    pub(crate) fn start_pull(&self, options: &[&str]) -> Running {
        let mut command = Command::new("blit");
        command.args(["pull", "--mirror", "--json", "--no-fallback"]);
        command.args(options).arg(self.url()).arg(self.pulled());
        self.start(command)
    }

    fn url(&self) -> String {
        format!("blit://{}/tree", self.control)
    }

    fn start(&self, mut command: Command) -> Running {
        let mut issue = Command::new("blit");
        issue.args(["serve", "--issue-token", "--identity"]);
        issue.arg(self.area.join("identity"));
        let token = run(issue).unwrap();
        token.expect_code(0);
        command.env("BLIT_TOKEN", token.stdout().trim());
        start(confined(self.network.on(Host::Far, &command), self.dialler)).unwrap()
    }

    /// Returns what the kernel of a host has counted.
    pub(crate) fn taken(&self, host: Host) -> Taken {
        let read = || fs::read_to_string("/proc/thread-self/net/tls_stat");
        let counters = self.network.inside(host, read).unwrap().unwrap();
        let counter = |name| {
            let line = counters.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse().unwrap()
        };
        Taken {
            to_send: counter("TlsTxSw"),
            to_receive: counter("TlsRxSw"),
        }
    }
}

/// Has the kernel refuse to speak TLS for a command: as a sandbox does.
fn confined(mut command: Command, kernel: Kernel) -> Command {
    let ulp = Refused {
        call: libc::SYS_setsockopt as u32,
        arguments: &[(1, libc::IPPROTO_TCP as u32), (2, libc::TCP_ULP as u32)],
    };
    if kernel == Kernel::Refuses {
        sandbox::refuse(&mut command, &[ulp]);
    }
    command
}

/// Returns the summary of a command with `--json`, which must have ended well.
#[track_caller]
pub(crate) fn summary(finished: &Finished) -> Value {
    finished.expect_code(0);
    let stdout = finished.stdout();
    let last = stdout.lines().last().expect("a summary");
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["type"], "summary", "{stdout}");
    last
}

//! `blit diagnostics connect` against daemons that can be reached, and against everything that can be wrong on the way.

use blit_e2e::network::{Host, Network};
use blit_e2e::process::{Finished, run, start};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::blit;
use crate::machine;
use crate::serve::{Daemon, both_ports, token};

/// The steps, in their order.
const STEPS: [&str; 9] = [
    "name",
    "port",
    "tls",
    "access",
    "version",
    "roundTrip",
    "tcpReceive",
    "tcpSend",
    "grpc",
];

/// What was found.
struct Found(Value);

impl Found {
    #[track_caller]
    fn new(finished: &Finished, code: i32) -> Self {
        finished.expect_code(code);
        let found: Value = serde_json::from_str(&finished.stdout()).unwrap();
        assert_eq!(found["exitCode"], code, "{found}");
        let names = found["steps"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, STEPS);
        Self(found)
    }

    fn step(&self, name: &str) -> &Value {
        let at = STEPS.iter().position(|step| *step == name).unwrap();
        &self.0["steps"][at]
    }

    /// Asserts that the way leads to one step and not on, and that this is said with what helps.
    #[track_caller]
    fn assert_fails_at(&self, name: &str, said: &[&str]) {
        let at = STEPS.iter().position(|step| *step == name).unwrap();
        for (number, step) in STEPS.iter().enumerate() {
            let outcome = &self.step(step)["outcome"];
            let expected = match number.cmp(&at) {
                std::cmp::Ordering::Less => "ok",
                std::cmp::Ordering::Equal => "failed",
                std::cmp::Ordering::Greater => "notTried",
            };
            assert_eq!(outcome, expected, "{step}: {}", self.0);
        }
        let detail = self.step(name)["detail"].as_str().unwrap();
        for said in said {
            assert!(detail.contains(said), "{detail}");
        }
    }
}

fn connect(daemon: &Daemon, token: &str, remote: &str) -> Finished {
    daemon.ask(token, &["diagnostics", "connect", remote, "--json"])
}

#[test]
fn a_good_way_is_gone_to_its_end_in_both_directions() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let all = daemon.token(&[]);
    let found = Found::new(&connect(&daemon, &all, "{}"), 0);
    for step in &STEPS[..8] {
        assert_eq!(found.step(step)["outcome"], "ok", "{}", found.0);
    }
    assert_eq!(found.step("grpc")["outcome"], "notTried");
    for step in ["tcpReceive", "tcpSend"] {
        let rate = found.step(step)["bytesPerSecond"].as_u64().unwrap();
        assert!(rate > 0, "{}", found.0);
    }
    assert!(found.step("roundTrip")["seconds"].as_f64().unwrap() > 0.0);
    let text = daemon.ask(&all, &["diagnostics", "connect", "{}"]);
    text.expect_code(0);
    let text = text.stdout();
    assert_eq!(text.lines().count(), 1 + STEPS.len(), "{text}");
    assert!(
        text.contains("you may read, write, delete below /"),
        "{text}"
    );
    assert_eq!(
        std::fs::read_dir(daemon.root()).unwrap().count(),
        0,
        "nothing was written"
    );
    daemon.assert_survived();
}

#[test]
fn what_the_token_does_not_allow_is_not_tried() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let reader = daemon.token(&["--scope", "read", "--prefix", "/a"]);
    let found = Found::new(&connect(&daemon, &reader, "{}"), 0);
    assert_eq!(found.step("tcpReceive")["outcome"], "ok", "{}", found.0);
    assert_eq!(found.step("tcpSend")["outcome"], "notTried");
    let access = found.step("access")["detail"].as_str().unwrap();
    assert!(
        access.contains("read below /a") && access.contains("not allow write (push), delete"),
        "{access}"
    );
    let writer = daemon.token(&["--scope", "write"]);
    let found = Found::new(&connect(&daemon, &writer, "{}"), 0);
    assert_eq!(
        found.step("tcpReceive")["outcome"],
        "notTried",
        "{}",
        found.0
    );
    assert_eq!(found.step("tcpSend")["outcome"], "ok", "{}", found.0);
    daemon.assert_survived();
    let daemon = Daemon::start(&["--read-only"]);
    let found = Found::new(&connect(&daemon, &daemon.token(&[]), "{}"), 0);
    let send = found.step("tcpSend");
    assert_eq!(send["detail"], "the daemon is read-only", "{}", found.0);
    daemon.assert_survived();
}

#[test]
fn a_wrong_name_and_a_closed_port_are_told_apart() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let token = daemon.token(&[]);
    let found = Found::new(&connect(&daemon, &token, "blit://nowhere.invalid"), 30);
    found.assert_fails_at("name", &["check the spelling"]);
    // Below those that the kernel gives away, and of a service that nobody has any more.
    let found = Found::new(&connect(&daemon, &token, "blit://127.0.0.1:1"), 30);
    found.assert_fails_at("port", &["nobody listens there", "blit serve"]);
    daemon.assert_survived();
}

#[test]
fn a_wrong_daemon_a_wrong_token_and_none_are_told_apart() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    // Of another authority: this side does not take the daemon for the right one.
    let foreign = token(&daemon.work.path().join("other"), &[]);
    let found = Found::new(&connect(&daemon, &foreign, "{}"), 31);
    found.assert_fails_at("tls", &["another authority", "--issue-token"]);
    // Of the right authority, and altered: the daemon does not take it.
    let good = daemon.token(&[]);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let found = Found::new(&connect(&daemon, &format!("{head}.{turned}"), "{}"), 31);
    found.assert_fails_at("access", &["not issued by this daemon", "--issue-token"]);
    // None: name and port can be looked at all the same.
    let found = Found::new(&connect(&daemon, "", "{}"), 31);
    for (step, outcome) in [("port", "ok"), ("tls", "notTried"), ("access", "failed")] {
        assert_eq!(found.step(step)["outcome"], outcome, "{}", found.0);
    }
    daemon.assert_survived();
}

#[test]
fn a_data_port_that_is_closed_is_named() {
    let _shared = machine::shared();
    let (work, network) = (tempfile::tempdir().unwrap(), Network::new().unwrap());
    std::fs::create_dir(work.path().join("root")).unwrap();
    let identity = work.path().join("identity");
    let mut command = blit(&["serve", "--json", "--data-port", "0", "--listen"]);
    command.arg(network.socket(Host::Near, 0).to_string());
    command.arg("--root").arg(work.path().join("root"));
    command.arg("--identity").arg(&identity);
    let daemon = start(network.on(Host::Near, &command)).unwrap();
    let (control, data) = both_ports(&daemon);
    network.refuse(data).unwrap();
    let mut command = blit(&["diagnostics", "connect", "--json"]);
    command.arg(format!("blit://{control}"));
    command.env("BLIT_TOKEN", token(&identity, &[]));
    let found = run(network.on(Host::Far, &command)).unwrap();
    let found = Found::new(&found, 30);
    for step in ["tcpReceive", "tcpSend"] {
        let step = found.step(step);
        assert_eq!(step["outcome"], "failed", "{}", found.0);
        let detail = step["detail"].as_str().unwrap();
        assert!(
            detail.contains(&data.to_string()) && detail.contains("firewalls"),
            "{detail}"
        );
    }
    assert_eq!(found.step("roundTrip")["outcome"], "ok");
    daemon.signal(Signal::SIGTERM);
    daemon.finish().unwrap().expect_code(0);
}

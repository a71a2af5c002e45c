//! `blit diagnostics connect` against daemons that can be reached, and against everything that can be wrong on the way.

use std::net::SocketAddr;

use blit_e2e::network::{Family, Host, Network};
use blit_e2e::process::{Finished, Running, run, start};
use blit_proto::control::access::{Access, DaemonAccess, Token};
use blit_proto::control::connect_as;
use blit_proto::pki::daemon::Trust;
use blit_proto::v2::PingRequest;
use blit_proto::version;
use blit_transport::auth::bearer::pin_of;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::blit;
use crate::detour::Detour;
use crate::machine;
use crate::movers::block_on;
use crate::serve::{Daemon, both_ports, token};

/// The steps, in their order.
const STEPS: [&str; 13] = [
    "name",
    "port",
    "tls",
    "access",
    "version",
    "roundTrip",
    "tcpReceive",
    "tcpSend",
    "tlsReceive",
    "tlsSend",
    "grpcReceive",
    "grpcSend",
    "session",
];

/// Those that need the data port.
const TCP: [&str; 4] = ["tcpReceive", "tcpSend", "tlsReceive", "tlsSend"];

/// Those that send through the control port.
const GRPC: [&str; 2] = ["grpcReceive", "grpcSend"];

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

    #[track_caller]
    fn assert_outcome(&self, step: &str, outcome: &str) {
        assert_eq!(self.step(step)["outcome"], outcome, "{step}: {}", self.0);
    }

    /// Asserts that gRPC works, and that it is what both kinds of sessions would use.
    #[track_caller]
    fn assert_goes_inside_grpc(&self) {
        for step in GRPC {
            self.assert_outcome(step, "ok");
        }
        let chosen = serde_json::json!({"transport": "GRPC", "encrypted": true});
        let session = self.step("session");
        assert_eq!((&session["push"], &session["pull"]), (&chosen, &chosen));
        let detail = session["detail"].as_str().unwrap();
        assert!(detail.contains("because TCP cannot be used"), "{detail}");
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
fn every_plane_is_tried_in_both_directions_and_what_a_session_would_use_is_said() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let found = Found::new(&connect(&daemon, &daemon.token(&[]), "{}"), 0);
    for step in STEPS {
        found.assert_outcome(step, "ok");
    }
    for step in [&TCP[..], &GRPC].concat() {
        let step = found.step(step);
        let rate = step["bytesPerSecond"].as_u64().unwrap();
        assert!(rate > 0, "{}", found.0);
        // Of a socket the kernel of the side that sent knows more, wherever that is.
        let path = &step["path"];
        if GRPC.contains(&step["name"].as_str().unwrap()) {
            assert!(path.is_null(), "{}", found.0);
            continue;
        }
        for figure in ["roundTripSeconds", "lastedSeconds", "busySeconds"] {
            assert!(path[figure].as_f64().unwrap() > 0.0, "{figure}: {path}");
        }
        for figure in ["segmentBytes", "pathMtu", "segments"] {
            assert!(path[figure].as_u64().unwrap() > 0, "{figure}: {path}");
        }
        assert!(!path["congestionControl"].as_str().unwrap().is_empty());
        assert!(path["limitedBy"].is_string(), "{path}");
    }
    assert!(found.step("roundTrip")["seconds"].as_f64().unwrap() > 0.0);
    let clear = serde_json::json!({"transport": "TCP", "encrypted": false});
    let session = found.step("session");
    assert_eq!((&session["push"], &session["pull"]), (&clear, &clear));
    assert_eq!(
        std::fs::read_dir(daemon.root()).unwrap().count(),
        0,
        "nothing was written"
    );
    daemon.assert_survived();
}

#[test]
fn people_read_a_line_for_each_step_and_what_their_options_would_choose() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let reader = daemon.token(&["--scope", "read", "--prefix", "/a"]);
    let asked = ["diagnostics", "connect", "{}", "--encryption", "all"];
    let text = daemon.ask(&reader, &asked);
    text.expect_code(0);
    let text = text.stdout();
    assert_eq!(text.lines().count(), 1 + STEPS.len(), "{text}");
    for said in [
        "you may read below /a; it does not allow write (push), delete",
        "limited by ",
        "content of a pull goes over TCP, inside TLS",
    ] {
        assert!(text.contains(said), "{text}");
    }
    // The rest was not tried: three directions to there.
    let not_tried = text.lines().filter(|line| line.contains("not tried"));
    assert_eq!(not_tried.count(), 3, "{text}");
    daemon.assert_survived();
}

#[test]
fn what_the_token_does_not_allow_is_not_tried() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let writer = daemon.token(&["--scope", "write"]);
    let found = Found::new(&connect(&daemon, &writer, "{}"), 0);
    for (receive, send) in [
        ("tcpReceive", "tcpSend"),
        ("tlsReceive", "tlsSend"),
        ("grpcReceive", "grpcSend"),
    ] {
        found.assert_outcome(receive, "notTried");
        found.assert_outcome(send, "ok");
    }
    let session = found.step("session");
    assert!(session["pull"].is_null() && session["push"].is_object());
    daemon.assert_survived();
    let daemon = Daemon::start(&["--read-only"]);
    let found = Found::new(&connect(&daemon, &daemon.token(&[]), "{}"), 0);
    for send in ["tcpSend", "tlsSend", "grpcSend"] {
        let detail = &found.step(send)["detail"];
        assert_eq!(detail, "the daemon is read-only", "{}", found.0);
    }
    daemon.assert_survived();
}

#[test]
fn a_daemon_offers_no_more_than_a_token_allows_whoever_asks() {
    let _shared = machine::shared();
    for (options, scope, expected) in [
        (&[][..], "read", (true, false)),
        (&[], "write", (false, true)),
        (&[], "delete", (false, false)),
        (&["--read-only"], "read,write", (true, false)),
    ] {
        let daemon = Daemon::start(options);
        let token = Token(daemon.token(&["--scope", scope]));
        let access = Access::Daemon(DaemonAccess {
            trust: Trust::Pin(pin_of(&token).unwrap()),
            certificate: None,
            token: Some(token),
        });
        let answer = block_on(async {
            let connection = connect_as(&daemon.address.to_string(), &access).await;
            let request = PingRequest {
                hello: Some(version::hello()),
                try_data: true,
                ..PingRequest::default()
            };
            connection.unwrap().client().ping(request).await.unwrap()
        });
        let answer = answer.into_inner();
        let offered = (answer.try_receiving.is_some(), answer.try_sending.is_some());
        assert_eq!(offered, expected, "{options:?} {scope}");
        daemon.assert_survived();
    }
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
fn a_data_port_that_leads_to_another_daemon_is_named_and_grpc_is_tried_all_the_same() {
    let _shared = machine::shared();
    let (daemon, other) = (Daemon::start(&[]), Daemon::start(&[]));
    let wrong = SocketAddr::new(other.address.ip(), other.data);
    let detour = Detour::to(&daemon, wrong, None);
    let remote = detour.url("");
    let found = Found::new(&connect(&daemon, &daemon.token(&[]), &remote), 30);
    for step in TCP {
        found.assert_outcome(step, "failed");
        let detail = found.step(step)["detail"].as_str().unwrap();
        let cause = match step.starts_with("tls") {
            true => "TLS failed: invalid peer certificate",
            false => "refused the token",
        };
        let remedy = "to lead to where the control port leads";
        assert!(
            detail.contains(cause) && detail.contains(remedy),
            "{detail}"
        );
        assert!(detail.contains(&daemon.data.to_string()), "{detail}");
    }
    found.assert_goes_inside_grpc();
    daemon.assert_survived();
    other.assert_survived();
}

/// A daemon on another host.
struct Away {
    work: tempfile::TempDir,
    network: Network,
    daemon: Running,
    control: SocketAddr,
    data: u16,
}

impl Away {
    fn start(network: Network) -> Self {
        let work = tempfile::tempdir().unwrap();
        std::fs::create_dir(work.path().join("root")).unwrap();
        let mut command = blit(&["serve", "--json", "--data-port", "0", "--listen"]);
        command.arg(network.socket(Host::Near, 0).to_string());
        command.arg("--root").arg(work.path().join("root"));
        command.arg("--identity").arg(work.path().join("identity"));
        let daemon = start(network.on(Host::Near, &command)).unwrap();
        let (control, data) = both_ports(&daemon);
        Self {
            work,
            network,
            daemon,
            control,
            data,
        }
    }

    fn connect(&self, code: i32) -> Found {
        let mut command = blit(&["diagnostics", "connect", "--json"]);
        command.arg(format!("blit://{}", self.control));
        command.env("BLIT_TOKEN", token(&self.work.path().join("identity"), &[]));
        Found::new(&run(self.network.on(Host::Far, &command)).unwrap(), code)
    }

    fn end(self) {
        self.daemon.signal(Signal::SIGTERM);
        self.daemon.finish().unwrap().expect_code(0);
    }
}

#[test]
fn a_data_port_that_is_blocked_is_named_and_grpc_is_tried_all_the_same() {
    let _shared = machine::shared();
    let away = Away::start(Network::new().unwrap());
    away.network.block(away.data).unwrap();
    let found = away.connect(30);
    for step in TCP {
        found.assert_outcome(step, "failed");
        let detail = found.step(step)["detail"].as_str().unwrap();
        assert!(
            detail.contains(&away.data.to_string()) && detail.contains("firewalls"),
            "{detail}"
        );
    }
    found.assert_outcome("roundTrip", "ok");
    found.assert_goes_inside_grpc();
    away.end();
}

#[test]
fn a_narrow_path_with_small_packets_and_only_ipv6_is_measured_as_it_is() {
    let _shared = machine::shared();
    let away = Away::start(Network::with(Family::V6Only).unwrap());
    away.network.set_mtu(1280).unwrap();
    away.network.limit(80).unwrap();
    let found = away.connect(0);
    for step in [&TCP[..], &GRPC].concat() {
        found.assert_outcome(step, "ok");
        // 80 Mbit/s, and what the limit lets pass at once.
        let rate = found.step(step)["bytesPerSecond"].as_u64().unwrap();
        assert!(rate < 11_000_000, "{}", found.0);
    }
    for step in TCP {
        let path = &found.step(step)["path"];
        assert_eq!(path["pathMtu"], 1280, "{path}");
        assert!(path["segmentBytes"].as_u64().unwrap() < 1280, "{path}");
        assert_eq!(path["limitedBy"], "network", "{path}");
    }
    away.end();
}

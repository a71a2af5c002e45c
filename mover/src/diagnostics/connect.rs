//! `blit diagnostics connect`: the way to a daemon, step by step, and what helps where it ends.
//!
//! A step that builds on one that failed is not tried, and neither is what the token does not allow. The data planes do
//! not build on each other. The exit code is that of the first step that failed.

mod planes;

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::Escaped;
use blit_proto::v2::{DaemonState, Hello};
use blit_transport::client::Pong;
use blit_transport::planes::PlanePolicy;
use blit_transport::trial::{self, Measured, Streams, Trial, Way};
use blit_transport::{DataFailure, Kind, TransportError};
use planes::{Choice, Chosen, Direction, PathFound, Planes, Tried};
use serde::Serialize;

use crate::cli::remote::{AccessArgs, RemoteUrl};
use crate::pod::code_of_session;
use crate::report::terminal::say;

/// Name of the schema of the answers for programs.
const SCHEMA: &str = "blit.connect/v1";

/// The steps, in their order, with their names for people.
const STEPS: [(&str, &str); 13] = [
    ("name", "name"),
    ("port", "control port"),
    ("tls", "TLS"),
    ("access", "token"),
    ("version", "version"),
    ("roundTrip", "round trip"),
    ("tcpReceive", "TCP data, from there"),
    ("tcpSend", "TCP data, to there"),
    ("tlsReceive", "TLS data, from there"),
    ("tlsSend", "TLS data, to there"),
    ("grpcReceive", "gRPC data, from there"),
    ("grpcSend", "gRPC data, to there"),
    ("session", "a session"),
];

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    schema: &'static str,
    address: String,
    exit_code: u8,
    steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: &'static str,
    #[serde(skip)]
    title: &'static str,
    outcome: Outcome,
    /// What was found; where it failed, with what helps.
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathFound>,
    /// What a push and a pull would use; only of the last step.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

/// What content would travel over; nothing where there is no way, or it was not tried.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    push: Option<Chosen>,
    pull: Option<Chosen>,
}

/// Who was found.
struct Found {
    daemon: DaemonState,
    hello: Hello,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    Ok,
    Failed,
    NotTried,
}

/// Goes the way to a daemon, and prints what was found, and what a session with these planes would use.
pub fn run(remote: &OsStr, access: &AccessArgs, policy: PlanePolicy, json: bool) -> ExitCode {
    let url = match RemoteUrl::parse(remote) {
        Ok(url) => url,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::Usage;
        }
    };
    let mut findings = Findings {
        schema: SCHEMA,
        address: url.address(),
        exit_code: 0,
        steps: Vec::new(),
    };
    let ended = findings.go(&url, access, policy);
    findings.fill();
    let code = ended.err().unwrap_or(ExitCode::Complete);
    findings.exit_code = code.code();
    let text = match json {
        true => serde_json::to_string(&findings).unwrap_or_default() + "\n",
        false => findings.describe(),
    };
    // A reader that went away has what it wanted.
    let _ = io::stdout().write_all(text.as_bytes());
    code
}

impl Findings {
    /// Goes as far as it leads. The error is the code of the first step that failed.
    fn go(
        &mut self,
        url: &RemoteUrl,
        access: &AccessArgs,
        policy: PlanePolicy,
    ) -> Result<(), ExitCode> {
        let addresses = match trial::look_up(&url.address()) {
            Ok(addresses) if !addresses.is_empty() => addresses,
            found => {
                let error = found.err().map_or_else(
                    || "the name has no address".to_owned(),
                    |error| error.to_string(),
                );
                let help = "check the spelling, and the name service of this host";
                return Err(self.fails(ExitCode::PeerUnreachable, &format!("{error}; {help}")));
            }
        };
        let shown: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
        self.works(shown.join(", "));
        self.knock(&addresses)?;
        let access = match access.access() {
            Ok(access) => access,
            Err(error) => {
                self.skips("there is nothing yet that says who the daemon is");
                return Err(self.fails(error.exit_code(), &error.to_string()));
            }
        };
        let trial = Trial::connect(&url.remote(access));
        let trial = trial.map_err(|error| self.fails_by(&error))?;
        self.works(format!(
            "{} shows a certificate of the authority that is the right one",
            trial.remote()
        ));
        let pong = match trial.ping() {
            Ok(pong) => pong,
            Err(error) if error.kind() == Kind::Incompatible => {
                self.works("is good".to_owned());
                return Err(self.fails_by(&error));
            }
            Err(error) => return Err(self.fails_by(&error)),
        };
        let found = self.answered(pong)?;
        self.data(&trial, &found, policy)
    }

    /// Tries all addresses of a port.
    fn knock(&mut self, addresses: &[SocketAddr]) -> Result<(), ExitCode> {
        let (mut shown, mut fastest) = (Vec::new(), None::<Duration>);
        for address in addresses {
            match trial::knock(*address) {
                Ok(took) => {
                    fastest = Some(fastest.map_or(took, |other| other.min(took)));
                    shown.push(format!("{address} accepts connections"));
                }
                Err(error) => shown.push(format!("{address}: {}", explain(&error))),
            }
        }
        match fastest {
            Some(took) => {
                self.works(shown.join(", "));
                self.last().seconds = Some(took.as_secs_f64());
                Ok(())
            }
            None => Err(self.fails(ExitCode::PeerUnreachable, &shown.join(", "))),
        }
    }

    /// Says what the answer to a ping means.
    fn answered(&mut self, pong: Pong) -> Result<Found, ExitCode> {
        let plain = |text: &str| Escaped(text.as_bytes()).to_string();
        let Some(daemon) = pong.daemon else {
            let message =
                "it answers, but is no daemon; give the address of one (blit serve)".to_owned();
            return Err(self.fails(ExitCode::OtherError, &message));
        };
        self.works(allowed(&daemon));
        let hello = pong.hello;
        let features: Vec<_> = hello.features.iter().map(|text| plain(text)).collect();
        self.works(format!(
            "{}, protocol {} to {}, features {}",
            plain(&hello.program),
            hello.min,
            hello.max,
            features.join(" ")
        ));
        let seconds = pong.round_trip.as_secs_f64();
        self.works(format!(
            "{:.2} ms; {:.2} ms to connect, TLS included",
            seconds * 1e3,
            pong.connect.as_secs_f64() * 1e3
        ));
        self.last().seconds = Some(seconds);
        Ok(Found { daemon, hello })
    }

    /// Tries every data plane in both directions, and says what a session would use.
    fn data(&mut self, trial: &Trial, found: &Found, policy: PlanePolicy) -> Result<(), ExitCode> {
        let mut ended = Ok(());
        let (mut receiving, mut sending) = (Planes::NONE, Planes::NONE);
        // Where no connection to the data port can be made, that is the same for all that need one.
        let mut blocked: Option<(ExitCode, String)> = None;
        for way in Way::ALL {
            let mut offered = None;
            for direction in [Direction::Receive, Direction::Send] {
                if let Some(why) = planes::not_tried(way, direction, &found.daemon, &found.hello) {
                    self.skips(why);
                    continue;
                }
                let tried = match &blocked {
                    Some((code, detail)) if way != Way::Grpc => {
                        self.fails(*code, detail);
                        ended = ended.and(Err(*code));
                        Tried::Fails
                    }
                    _ => match attempt(trial, way, direction, &mut offered) {
                        Ok(Some(measured)) => {
                            self.measured(&measured);
                            Tried::Works
                        }
                        Ok(None) => {
                            self.skips(planes::not_offered(direction));
                            Tried::Not
                        }
                        Err(error) => {
                            let code = self.fails_by(&error);
                            ended = ended.and(Err(code));
                            if is_blocked(&error) {
                                blocked = Some((code, error.to_string()));
                            }
                            Tried::Fails
                        }
                    },
                };
                match direction {
                    Direction::Receive => receiving.set(way, tried),
                    Direction::Send => sending.set(way, tried),
                }
            }
        }
        let chosen = self.session(receiving, sending, policy);
        ended.and(chosen)
    }

    fn measured(&mut self, measured: &Measured) {
        self.works(planes::describe(measured));
        let step = self.last();
        step.bytes_per_second = measured.rate();
        step.path = measured.path.as_ref().map(planes::found);
    }

    /// Says what a session would use.
    fn session(
        &mut self,
        receiving: Planes,
        sending: Planes,
        policy: PlanePolicy,
    ) -> Result<(), ExitCode> {
        let (push, pull) = (sending.choose(policy), receiving.choose(policy));
        let said: Vec<_> = [("push", push), ("pull", pull)]
            .into_iter()
            .filter(|(_, choice)| *choice != Choice::Unknown)
            .map(|(what, choice)| format!("content of a {what} goes {}", choice.describe()))
            .collect();
        let mut ended = Ok(());
        if said.is_empty() {
            self.skips("nothing that it would use was tried");
        } else if [push, pull].contains(&Choice::None) {
            ended = Err(self.fails(ExitCode::PeerUnreachable, &said.join("; ")));
        } else {
            self.works(said.join("; "));
        }
        self.last().session = Some(Session {
            push: push.chosen(),
            pull: pull.chosen(),
        });
        ended
    }

    fn works(&mut self, detail: String) {
        self.add(Outcome::Ok, detail);
    }

    fn skips(&mut self, why: &str) {
        self.add(Outcome::NotTried, why.to_owned());
    }

    fn fails(&mut self, code: ExitCode, detail: &str) -> ExitCode {
        self.add(Outcome::Failed, detail.to_owned());
        code
    }

    fn fails_by(&mut self, error: &TransportError) -> ExitCode {
        self.fails(code_of_session(error), &error.to_string())
    }

    /// Adds the next step.
    fn add(&mut self, outcome: Outcome, detail: String) {
        let Some((name, title)) = STEPS.get(self.steps.len()) else {
            return;
        };
        self.steps.push(Step {
            name,
            title,
            outcome,
            detail,
            seconds: None,
            bytes_per_second: None,
            path: None,
            session: None,
        });
    }

    fn last(&mut self) -> &mut Step {
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// Adds the steps that were not reached.
    fn fill(&mut self) {
        while self.steps.len() < STEPS.len() {
            self.add(Outcome::NotTried, "a step before has failed".to_owned());
        }
    }

    fn describe(&self) -> String {
        let width = STEPS.iter().map(|(_, title)| title.len()).max();
        let width = width.unwrap_or_default();
        let line = |step: &Step| {
            let outcome = match step.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotTried => "not tried",
            };
            // What failed holds what others wrote.
            let detail = Escaped(step.detail.as_bytes());
            format!("{:<width$}  {outcome:<9}  {detail}\n", step.title)
        };
        let lines: String = self.steps.iter().map(line).collect();
        format!("{}\n{lines}", self.address)
    }
}

/// Tries one direction of a plane; `None` where the daemon offers no stream for it. Streams are asked for when the first is
/// needed, because they wait for half a minute only.
fn attempt(
    trial: &Trial,
    way: Way,
    direction: Direction,
    offered: &mut Option<Streams>,
) -> Result<Option<Measured>, TransportError> {
    let streams = match offered {
        Some(streams) => streams,
        None => offered.insert(trial.streams()?),
    };
    match direction {
        Direction::Receive => (streams.receiving.as_ref())
            .map(|offered| trial.receive(way, offered))
            .transpose(),
        Direction::Send => (streams.sending.as_ref())
            .map(|offered| trial.send(way, offered))
            .transpose(),
    }
}

/// Returns true where no connection to the data port can be made, whatever would go over it.
fn is_blocked(error: &TransportError) -> bool {
    let TransportError::Data { reason, .. } = error else {
        return false;
    };
    matches!(reason, DataFailure::Unreachable(_))
}

/// Says what a token allows, and what not.
fn allowed(daemon: &DaemonState) -> String {
    let held: Vec<_> = daemon
        .scopes
        .iter()
        .map(|scope| Escaped(scope.as_bytes()).to_string())
        .collect();
    let missing: Vec<_> = [
        ("read", "list, pull"),
        ("write", "push"),
        ("delete", "mirror, purge"),
    ]
    .into_iter()
    .filter(|(scope, _)| !held.iter().any(|held| held == scope))
    .map(|(scope, what)| format!("{scope} ({what})"))
    .collect();
    let prefix = [b"/".as_slice(), &daemon.prefix].concat();
    let mut text = format!("you may {} below {}", held.join(", "), Escaped(&prefix));
    if !missing.is_empty() {
        text.push_str(&format!("; it does not allow {}", missing.join(", ")));
    }
    if daemon.read_only {
        text.push_str("; the daemon is read-only");
    }
    text
}

/// Says why a port cannot be reached, and what helps.
fn explain(error: &io::Error) -> String {
    let help = match error.kind() {
        ErrorKind::ConnectionRefused => {
            "nobody listens there: start the daemon (blit serve), check its --listen and the port; or a firewall rejects it"
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            "no answer: the host is down, or a firewall or network policy drops what is sent there"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to this address: check the routes, or the link"
        }
        _ => "check the address and the network of this host",
    };
    format!("{error}; {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(scopes: &[&str], read_only: bool) -> DaemonState {
        DaemonState {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            prefix: b"a b".to_vec(),
            read_only,
            sessions: 0,
        }
    }

    #[test]
    fn what_a_token_allows_and_what_not_is_said() {
        assert_eq!(
            allowed(&daemon(&["read", "write", "delete"], false)),
            "you may read, write, delete below /a b"
        );
        assert_eq!(
            allowed(&daemon(&["read"], true)),
            "you may read below /a b; it does not allow write (push), delete (mirror, purge); the daemon is read-only"
        );
    }

    #[test]
    fn steps_that_were_not_reached_are_told_too() {
        let mut findings = Findings {
            schema: SCHEMA,
            address: "h:1".to_owned(),
            exit_code: 0,
            steps: Vec::new(),
        };
        findings.works("192.0.2.1".to_owned());
        findings.fails(ExitCode::PeerUnreachable, "no\x1b; help");
        findings.fill();
        let text = findings.describe();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + STEPS.len());
        assert_eq!(
            lines[2],
            r"control port           FAILED     no\u{1b}; help"
        );
        let last = lines[STEPS.len()];
        assert!(
            last.ends_with("not tried  a step before has failed"),
            "{last}"
        );
    }
}

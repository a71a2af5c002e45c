//! Movers as a pod runs them: their identities, their command lines, and what an operator can ask them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use blit_crds::outcome::TerminationMessage;
use blit_e2e::process::{Running, start};
use blit_proto::control::{Connection, ControlError, connect};
use blit_proto::pki::{Authority, Identity, PeerName, PeerPattern, Role};
use serde_json::Value;

use crate::blit::PROGRAM;

/// UID of the job.
pub(crate) const JOB: &str = "6c1c0a5e-0000-4000-8000-000000000001";

/// A job: who signs for its movers, and who for the operator.
pub(crate) struct Job {
    work: PathBuf,
    pub(crate) movers: Authority,
    pub(crate) operators: Authority,
}

impl Job {
    /// Makes the authorities; folders of movers go below `work`.
    pub(crate) fn new(work: &Path) -> Self {
        Self {
            work: work.to_owned(),
            movers: Authority::new("test", SystemTime::now()).unwrap(),
            operators: Authority::new("operators", SystemTime::now()).unwrap(),
        }
    }

    /// Returns the folder with the identity of one side of an attempt.
    pub(crate) fn identity(&self, role: Role, attempt: u32) -> PathBuf {
        let folder = self.work.join(format!("identity-{role}-{attempt}"));
        if !folder.exists() {
            std::fs::create_dir(&folder).unwrap();
            let peer = PeerName::mover(JOB, attempt, role).unwrap();
            let identity = self.movers.issue(&peer).unwrap();
            let operators = self.operators.certificate_pem().to_owned();
            identity.with_operator_ca(operators).write(&folder).unwrap();
        }
        folder
    }

    /// Returns the identity of the operator: its own authority signed it.
    pub(crate) fn operator(&self) -> Identity {
        self.signed(&self.operators, &PeerName::operator("test").unwrap())
    }

    /// Returns an identity that trusts the movers of this job, signed by any authority.
    pub(crate) fn signed(&self, by: &Authority, name: &PeerName) -> Identity {
        let issued = by.issue(name).unwrap();
        Identity::new(
            self.movers.certificate_pem().to_owned(),
            issued.certificate_pem().to_owned(),
            issued.key_pem().to_owned(),
        )
    }

    /// Returns the command of a local mover.
    pub(crate) fn local(&self, attempt: u32, source: &Path, destination: &Path) -> Command {
        let mut command = self.mover("local", Role::Destination, attempt, destination);
        command.args(["--operation", "mirror", "--listen", "127.0.0.1:0"]);
        command.args(["--max-delete", "100%", "--source-path", "/"]);
        command.arg("--source-root").arg(source);
        command
    }

    /// Returns the command of a destination mover that listens on loopback.
    pub(crate) fn destination(&self, attempt: u32, root: &Path) -> Command {
        self.destination_at(attempt, root, "127.0.0.1:0")
    }

    /// Returns the command of a destination mover that listens at an address.
    pub(crate) fn destination_at(&self, attempt: u32, root: &Path, listen: &str) -> Command {
        let mut command = self.mover("destination", Role::Destination, attempt, root);
        command.args(["--operation", "mirror", "--listen", listen]);
        command.args(["--max-delete", "100%", "--data-port", "0"]);
        command
    }

    /// Returns the command of a source mover.
    pub(crate) fn source(&self, attempt: u32, root: &Path, connect: SocketAddr) -> Command {
        let mut command = self.mover("source", Role::Source, attempt, root);
        command.args(["--connect", &connect.to_string()]);
        command
    }

    fn mover(&self, kind: &str, role: Role, attempt: u32, root: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["mover", kind, "--path", "/", "--job-uid", JOB]);
        command.args(["--attempt", &attempt.to_string()]);
        command.arg("--root").arg(root);
        command.arg("--identity").arg(self.identity(role, attempt));
        command
            .arg("--termination-message")
            .arg(self.last_word_file(kind, attempt));
        command
    }

    /// Returns what a mover left as its last word.
    pub(crate) fn last_word(&self, kind: &str, attempt: u32) -> TerminationMessage {
        let file = self.last_word_file(kind, attempt);
        TerminationMessage::from_json(&std::fs::read_to_string(file).unwrap()).unwrap()
    }

    fn last_word_file(&self, kind: &str, attempt: u32) -> PathBuf {
        self.work.join(format!("last-word-{kind}-{attempt}"))
    }

    /// Dials a mover that listens.
    pub(crate) async fn dial(
        &self,
        address: SocketAddr,
        attempt: u32,
        identity: &Identity,
    ) -> Result<Connection, ControlError> {
        let peer = PeerName::mover(JOB, attempt, Role::Destination).unwrap();
        connect(&address.to_string(), identity, PeerPattern::Exactly(peer)).await
    }
}

/// Starts a mover that listens, and returns it with its address.
pub(crate) fn listening(command: Command) -> (Running, SocketAddr) {
    let (mover, control, _) = listening_at(command);
    (mover, control)
}

/// Starts a mover that listens, and returns it with its address and its data port, 0 if it has none.
pub(crate) fn listening_at(command: Command) -> (Running, SocketAddr, u16) {
    let (mover, listens) = listening_as_said(command);
    let address = listens["control"].as_str().unwrap();
    let data = listens["data"].as_u64().unwrap_or(0);
    (
        mover,
        address.parse().unwrap(),
        u16::try_from(data).unwrap(),
    )
}

/// As [`listening`], with both ports as the mover says them.
pub(crate) fn listening_as_said(command: Command) -> (Running, Value) {
    let mover = start(command).unwrap();
    let line = mover
        .wait_for_line("say where it listens", |line| line.contains("\"listen\""))
        .unwrap()
        .unwrap();
    let start: Value = serde_json::from_str(&line).unwrap();
    (mover, start["listen"].clone())
}

/// Runs what talks to a mover.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

//! A daemon (`blit serve`) as people use it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_e2e::process::{Finished, Running, run, start};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::{PROGRAM, blit};
use crate::machine;

/// A daemon that serves `root` below a folder of its own.
pub(crate) struct Daemon {
    pub(crate) work: tempfile::TempDir,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    /// The data port.
    pub(crate) data: u16,
}

impl Daemon {
    /// Starts one with more arguments.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// Starts one with more arguments and variables.
    pub(crate) fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let work = tempfile::tempdir().unwrap();
        fs::create_dir(work.path().join("root")).unwrap();
        Self::start_all(work, args, variables)
    }

    /// Starts one in a folder that is there.
    pub(crate) fn start_in(work: tempfile::TempDir, args: &[&str]) -> Self {
        Self::start_all(work, args, &[])
    }

    fn start_all(work: tempfile::TempDir, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = serving(&work.path().join("root"));
        command.arg("--identity").arg(work.path().join("identity"));
        command.args(args);
        command.envs(variables.iter().copied());
        let running = start(command).unwrap();
        let (address, data) = both_ports(&running);
        Self {
            work,
            running,
            address,
            data,
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.work.path().join("root")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.work.path().join("identity")
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("blit://{}/{path}", self.address)
    }

    /// Returns a token made with these arguments.
    pub(crate) fn token(&self, args: &[&str]) -> String {
        token(&self.identity(), args)
    }

    /// Runs `blit` with this token; `{}` in an argument is the URL of the root.
    pub(crate) fn ask(&self, token: &str, args: &[&str]) -> Finished {
        run(self.command(token, args)).unwrap()
    }

    /// Returns the command that [`Self::ask`] runs.
    pub(crate) fn command(&self, token: &str, args: &[&str]) -> Command {
        let root = self.url("");
        let args = args.iter().map(|arg| arg.replace("{}", &root));
        let mut command = Command::new(PROGRAM);
        command.args(args).env("BLIT_TOKEN", token);
        command
    }

    /// Asserts that it still serves somebody honest, and ends when it is asked to.
    pub(crate) fn assert_survived(self) {
        self.ask(&self.token(&[]), &["ping", "{}"]).expect_code(0);
        self.running.signal(Signal::SIGTERM);
        self.running.finish().unwrap().expect_code(0);
    }
}

/// Returns the command of a daemon on ports that the kernel chooses.
pub(crate) fn serving(root: &Path) -> Command {
    let mut command = blit(&[
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data-port",
        "0",
    ]);
    command.arg("--root").arg(root);
    command
}

/// Makes a token with an identity.
pub(crate) fn token(identity: &Path, args: &[&str]) -> String {
    let mut command = blit(&["serve", "--issue-token"]);
    command.args(args).arg("--identity").arg(identity);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let printed = finished.stdout();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    printed.trim().to_owned()
}

/// Waits until a daemon says where it listens.
pub(crate) fn listening(running: &Running) -> SocketAddr {
    both_ports(running).0
}

/// As [`listening`], with the data port.
pub(crate) fn both_ports(running: &Running) -> (SocketAddr, u16) {
    let line = running
        .wait_for_line("say where it listens", |line| line.contains("\"listen\""))
        .unwrap()
        .unwrap();
    let start: Value = serde_json::from_str(&line).unwrap();
    let listen = &start["listen"];
    let control = listen["control"].as_str().unwrap().parse().unwrap();
    let data = listen["data"].as_u64().unwrap().try_into().unwrap();
    (control, data)
}

#[test]
fn a_daemon_answers_a_ping_and_ends_cleanly_when_it_is_asked_to() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let pong = daemon.ask(
        &daemon.token(&["--prefix", "/a b"]),
        &["ping", "{}", "--json"],
    );
    pong.expect_code(0);
    let pong: Value = serde_json::from_str(&pong.stdout()).unwrap();
    assert_eq!(pong["prefix"]["path"], "/a b", "{pong}");
    assert_eq!(
        pong["scopes"],
        serde_json::json!(["read", "write", "delete"])
    );
    assert!(
        pong["program"].as_str().unwrap().starts_with("blit "),
        "{pong}"
    );
    assert!(pong["roundTripSeconds"].as_f64().unwrap() < 60.0);
    let text = daemon.ask(&daemon.token(&["--scope", "read"]), &["ping", "{}"]);
    assert!(
        text.stdout().contains("you may read below /"),
        "{}",
        text.stdout()
    );
    daemon.assert_survived();
}

#[test]
fn a_list_shows_what_is_there() {
    use std::os::unix::ffi::OsStrExt;
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let dir = daemon.root().join("d");
    fs::create_dir(&dir).unwrap();
    for n in 0..3000 {
        fs::write(dir.join(format!("{n:04}")), vec![0; n]).unwrap();
    }
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("link")).unwrap();
    let token = daemon.token(&["--scope", "read", "--prefix", "d"]);
    let listed = daemon.ask(&token, &["list", "{}d", "--json"]);
    listed.expect_code(0);
    let listed: Vec<Value> = (listed.stdout().lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(listed.len(), 3002);
    assert_eq!(
        (&listed[7]["path"], &listed[7]["size"]),
        (&"0007".into(), &7.into())
    );
    assert_eq!(listed[3000]["target"]["path"], "nowhere");
    assert_eq!(listed[3001]["pathBytes"], "/w==");
    let one = daemon.ask(&token, &["list", "{}d/0005"]);
    one.expect_code(0);
    assert!(one.stdout().starts_with("-rw"), "{}", one.stdout());
    assert!(
        one.stdout().trim_end().ends_with(" 0005"),
        "{}",
        one.stdout()
    );
    // A link is shown, and not followed.
    let link = daemon.ask(&token, &["list", "{}d/link"]);
    assert!(
        link.stdout().contains("link -> nowhere"),
        "{}",
        link.stdout()
    );
    daemon.ask(&token, &["list", "{}d/link/x"]).expect_code(2);
    let missing = daemon.ask(&token, &["list", "{}d/missing"]);
    missing.expect_code(2);
    assert!(
        missing.stderr().contains("`/d/missing` does not exist"),
        "{}",
        missing.stderr()
    );
    daemon.assert_survived();
}

#[test]
fn a_daemon_without_an_identity_prints_a_token_and_listens_on_this_host_only() {
    let _shared = machine::shared();
    let work = tempfile::tempdir().unwrap();
    let root = ["--root", work.path().to_str().unwrap()];
    let running = start(serving(work.path())).unwrap();
    let address = listening(&running);
    let refused = run({
        let mut command = blit(&["ping", &format!("blit://{address}")]);
        command.env_remove("BLIT_TOKEN");
        command
    });
    refused.unwrap().expect_code(31);
    running.signal(Signal::SIGTERM);
    let finished = running.finish().unwrap();
    finished.expect_code(0);
    let said = finished.stderr();
    let token = said
        .split("BLIT_TOKEN=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    assert_eq!(token.split('.').count(), 3, "{said}");
    // To every address, that takes an identity.
    let mut command = blit(&["serve", "--listen", "0.0.0.0:0"]);
    command.args(root);
    let exposed = run(command).unwrap();
    exposed.expect_code(2);
    assert!(
        exposed.stderr().contains("--identity"),
        "{}",
        exposed.stderr()
    );
}

#[test]
fn an_identity_serves_its_old_tokens_after_a_restart() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let token = daemon.token(&[]);
    let Daemon { work, running, .. } = daemon;
    running.signal(Signal::SIGTERM);
    running.finish().unwrap().expect_code(0);
    let daemon = Daemon::start_in(work, &[]);
    daemon.ask(&token, &["ping", "{}"]).expect_code(0);
    daemon.assert_survived();
}

//! Who may do nothing at a daemon: strangers, and those who ask for more than they were given.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use blit_e2e::process::run;

use crate::blit::blit;
use crate::machine;
use crate::serve::{Daemon, token};

#[test]
fn only_tokens_of_this_daemon_that_have_not_expired_are_good() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let good = daemon.token(&[]);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let altered = format!("{head}.{turned}");
    let none = {
        let parts: Vec<_> = good.split('.').collect();
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1])
    };
    let foreign = token(&daemon.work.path().join("other"), &[]);
    for (what, token) in [
        ("altered", &altered),
        ("none", &none),
        ("foreign", &foreign),
    ] {
        let refused = daemon.ask(token, &["list", "{}"]);
        refused.expect_code(31);
        assert!(
            refused.stderr().contains("not authenticated"),
            "{what}: {}",
            refused.stderr()
        );
        assert_eq!(refused.stdout(), "", "{what}");
    }
    // The same authority, but signed with another key.
    let mixed = daemon.work.path().join("mixed");
    fs::create_dir(&mixed).unwrap();
    for entry in fs::read_dir(daemon.identity()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), mixed.join(entry.file_name())).unwrap();
    }
    fs::write(mixed.join("token.key"), [7; 32]).unwrap();
    fs::set_permissions(&mixed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let refused = daemon.ask(&token(&mixed, &[]), &["list", "{}"]);
    refused.expect_code(31);
    assert!(
        refused.stderr().contains("not issued by this daemon"),
        "{}",
        refused.stderr()
    );
    let short = daemon.token(&["--expires", "1s"]);
    assert!(
        daemon
            .running
            .wait_until("let a token expire", || daemon
                .ask(&short, &["ping", "{}"])
                .code
                != Some(0))
            .unwrap()
    );
    let expired = daemon.ask(&short, &["list", "{}"]);
    expired.expect_code(31);
    assert!(
        expired.stderr().contains("has expired"),
        "{}",
        expired.stderr()
    );
    daemon.assert_survived();
}

#[test]
fn a_scope_and_a_prefix_bound_what_can_be_listed() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    for dir in ["a", "ab", "a/b"] {
        fs::create_dir(daemon.root().join(dir)).unwrap();
    }
    std::os::unix::fs::symlink("/etc", daemon.root().join("a/out")).unwrap();
    std::os::unix::fs::symlink("../ab", daemon.root().join("a/side")).unwrap();
    let refused = daemon.ask(&daemon.token(&["--scope", "write,delete"]), &["list", "{}"]);
    refused.expect_code(31);
    assert!(
        refused.stderr().contains("scope `read`"),
        "{}",
        refused.stderr()
    );
    let bound = daemon.token(&["--scope", "read", "--prefix", "/a"]);
    daemon.ask(&bound, &["list", "{}a"]).expect_code(0);
    daemon.ask(&bound, &["list", "{}a/b"]).expect_code(0);
    for outside in ["{}", "{}ab", "{}b"] {
        let refused = daemon.ask(&bound, &["list", outside]);
        refused.expect_code(31);
        assert!(
            refused.stderr().contains("outside of `/a`"),
            "{}",
            refused.stderr()
        );
    }
    for wrong in [
        "{}a/..",
        "{}a/%2e%2e/ab",
        "{}../x",
        "{}a/side/b",
        "{}a/out/ssl",
    ] {
        let refused = daemon.ask(&bound, &["list", wrong]);
        refused.expect_code(2);
        assert_eq!(refused.stdout(), "", "{wrong}");
    }
    // The link itself is shown, and not what it leads to.
    let link = daemon.ask(&bound, &["list", "{}a/out/"]);
    assert!(
        link.stdout().trim_end().ends_with(" out -> /etc"),
        "{}",
        link.stdout()
    );
    assert_eq!(link.stdout().lines().count(), 1);
    daemon.assert_survived();
}

#[test]
fn certificates_of_its_authority_are_good_and_others_are_not() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let issue = |identity: &str, scope: &str, folder: &str| {
        let (work, folder) = (daemon.work.path(), daemon.work.path().join(folder));
        let mut command = blit(&["serve", "--scope", scope, "--issue-certificate"]);
        command
            .arg(&folder)
            .arg("--identity")
            .arg(work.join(identity));
        run(command).unwrap().expect_code(0);
        folder
    };
    let list = |folder: &std::path::Path, ca: &std::path::Path| {
        let mut command = blit(&["list", &daemon.url("")]);
        command.env_remove("BLIT_TOKEN");
        command.arg("--tls-cert").arg(folder.join("tls.crt"));
        command.arg("--tls-key").arg(folder.join("tls.key"));
        command.arg("--tls-ca").arg(ca.join("ca.crt"));
        run(command).unwrap()
    };
    let reader = issue("identity", "read", "reader");
    list(&reader, &reader).expect_code(0);
    let writer = issue("identity", "write", "writer");
    list(&writer, &writer).expect_code(31);
    let foreign = issue("other", "read", "foreign");
    // It does not take the daemon for its own, nor the daemon it for one of its own.
    list(&foreign, &foreign).expect_code(31);
    list(&foreign, &reader).expect_code(31);
    daemon.assert_survived();
}

#[test]
fn a_client_talks_to_no_daemon_but_that_of_its_token() {
    let _shared = machine::shared();
    let (ours, theirs) = (Daemon::start(&[]), Daemon::start(&[]));
    let refused = ours.ask(&theirs.token(&[]), &["list", "{}"]);
    refused.expect_code(31);
    assert!(
        refused.stderr().contains("another authority"),
        "{}",
        refused.stderr()
    );
    // A port where nobody answers is something else.
    let closed = theirs.address;
    let token = theirs.token(&[]);
    theirs.assert_survived();
    ours.ask(&token, &["ping", &format!("blit://{closed}")])
        .expect_code(30);
    ours.assert_survived();
}

#[test]
fn strangers_who_say_nothing_keep_nobody_from_being_heard() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let connect = |_| TcpStream::connect(daemon.address).unwrap();
    let mut strangers: Vec<_> = (0..300).map(connect).collect();
    daemon
        .ask(&daemon.token(&[]), &["ping", "{}"])
        .expect_code(0);
    // The first had to go for those that came after.
    let first = &mut strangers[0];
    first
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let read = first.read(&mut [0; 1]);
    let gone = match &read {
        Ok(0) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
        Ok(_) => false,
    };
    assert!(gone, "{read:?}");
    daemon.assert_survived();
}

//! Pushing to a daemon: what arrives, what may be deleted, what is said.

use std::fs;
use std::path::{Path, PathBuf};

use blit_e2e::process::{Finished, run, start};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::{self, random};
use blit_e2e::{mutate, oracle, seed};
use blit_transport::data::kernel_tls;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::blit::blit;
use crate::machine;
use crate::serve::Daemon;

/// Makes a random tree in `folder`; returns the seed.
fn random_tree(folder: &Path) -> u64 {
    let seed = seed::for_test();
    tree::build(&random::tree(seed, 60), folder).unwrap();
    seed
}

/// Returns the last event of a command with `--json`.
fn summary(finished: &Finished) -> Value {
    let stdout = finished.stdout();
    let last = stdout.lines().last().expect("a summary");
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["type"], "summary", "{stdout}");
    last
}

fn source(daemon: &Daemon) -> PathBuf {
    let source = daemon.work.path().join("source");
    fs::create_dir(&source).unwrap();
    source
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn content_travels_as_it_was_asked_for() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = daemon.work.path().join("source");
    random_tree(&source);
    fs::write(source.join("large"), vec![3; 9 << 20]).unwrap();
    let token = daemon.token(&[]);
    let ways = [
        (&["--encryption", "all", "--no-fallback"][..], "TCP", "tls"),
        (&["--force-grpc-data"], "GRPC", "grpc"),
    ];
    for (options, transport, name) in ways {
        let url = format!("{{}}{name}");
        let push = ["push", "--mirror", "--json", text(&source), &url];
        let pushed = daemon.ask(&token, &[&push, options].concat());
        pushed.expect_code(0);
        let told = summary(&pushed);
        assert_eq!(told["transport"], transport, "{told}");
        // Inside TLS only a kernel sends without a copy.
        let by_kernel = name == "tls" && kernel_tls::probe().is_ok();
        let share = told["zeroCopyShare"].as_f64().unwrap();
        assert_eq!(share > 0.0, by_kernel, "{told}");
        oracle::assert_mirrored(&source, &daemon.root().join(name));

        let back = daemon.work.path().join(name);
        let pull = ["pull", "--mirror", "--json", "--verify", &url, text(&back)];
        let pulled = daemon.ask(&token, &[&pull, options].concat());
        pulled.expect_code(0);
        let told = summary(&pulled);
        assert_eq!(told["transport"], transport, "{told}");
        assert_eq!(told["zeroCopyShare"], 0.0, "{told}");
        assert_eq!(told["verification"]["mismatches"], 0, "{told}");
        oracle::assert_mirrored(&source, &back);
    }
}

#[test]
fn how_content_travels_cannot_be_chosen_where_it_does_not() {
    let _shared = machine::shared();
    let work = tempfile::tempdir().unwrap();
    let (here, there) = (work.path().join("here"), work.path().join("there"));
    fs::create_dir(&here).unwrap();
    for option in ["--encryption=all", "--force-grpc-data", "--no-fallback"] {
        let copied = run(blit(&["copy", text(&here), text(&there), option])).unwrap();
        copied.expect_code(2);
        let stderr = copied.stderr();
        assert!(stderr.contains("no content travels"), "{stderr}");
        assert!(!there.exists());
    }
}

#[test]
fn a_random_tree_arrives_and_a_changed_one_is_followed() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = daemon.work.path().join("source");
    let seed = random_tree(&source);
    let token = daemon.token(&["--prefix", "backup"]);
    let push = [
        "push",
        text(&source),
        "{}backup/host",
        "--json",
        "--no-fallback",
    ];
    let first = daemon.ask(&token, &push);
    first.expect_code(0);
    let destination = daemon.root().join("backup/host");
    oracle::assert_mirrored(&source, &destination);
    let told = summary(&first);
    assert_eq!(told["result"], "Complete", "{told}");
    assert!(told["filesCopied"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(told["filesTotal"], told["filesCopied"], "{told}");
    assert_eq!(told["transport"], "TCP");
    assert!(first.stdout().lines().next().unwrap().contains("\"start\""));
    mutate::mutate(&source, 30, seed).unwrap();
    let mirror = [
        "mirror",
        text(&source),
        "{}backup/host",
        "--max-delete",
        "100%",
        "--json",
    ];
    daemon.ask(&token, &mirror).expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    let again = daemon.ask(&token, &mirror);
    again.expect_code(0);
    let told = summary(&again);
    assert_eq!(
        (&told["filesCopied"], &told["filesDeleted"]),
        (&0.into(), &0.into()),
        "{told}"
    );
    assert!(!destination.join(".blit").exists());
    daemon.assert_survived();
}

#[test]
fn nothing_is_deleted_without_the_scope_nor_beyond_the_limit_of_the_daemon() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&["--max-delete", "1"]);
    let source = source(&daemon);
    fs::write(source.join("kept"), "x").unwrap();
    for name in ["kept", "one", "two"] {
        // Of another size: the times may be the same.
        fs::write(daemon.root().join(name), "old").unwrap();
    }
    let mirror = [
        "push",
        "--mirror",
        "--max-delete",
        "100%",
        text(&source),
        "{}",
    ];
    let refused = daemon.ask(&daemon.token(&["--scope", "read,write"]), &mirror);
    refused.expect_code(31);
    assert!(
        refused.stderr().contains("scope `delete`"),
        "{}",
        refused.stderr()
    );
    assert_eq!(
        fs::read(daemon.root().join("kept")).unwrap(),
        b"old",
        "nothing was written"
    );
    let all = daemon.token(&[]);
    let refused = daemon.ask(&all, &mirror);
    refused.expect_code(12);
    assert!(
        refused.stderr().contains("whoever runs it allows 1"),
        "{}",
        refused.stderr()
    );
    assert!(daemon.root().join("one").exists() && daemon.root().join("two").exists());
    fs::remove_file(daemon.root().join("two")).unwrap();
    daemon.ask(&all, &mirror).expect_code(0);
    oracle::assert_mirrored(&source, &daemon.root());
    daemon.assert_survived();
}

#[test]
fn the_guard_filters_and_a_dry_run_work_as_on_one_host() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = source(&daemon);
    for name in ["a.txt", "b.tmp", "c d"] {
        fs::write(source.join(name), name).unwrap();
    }
    let token = daemon.token(&["--scope", "write,delete"]);
    let rehearsed = daemon.ask(
        &token,
        &[
            "push",
            "-n",
            text(&source),
            "{}new/dir",
            "--exclude",
            "*.tmp",
        ],
    );
    rehearsed.expect_code(0);
    let mut lines: Vec<_> = rehearsed.stdout().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(
        lines,
        [">f+++++++++ a.txt", ">f+++++++++ c d", "cd+++++++++ ./"]
    );
    assert!(!daemon.root().join("new").exists());
    let copied = daemon.ask(
        &token,
        &[
            "copy",
            "-i",
            text(&source),
            "{}new/dir",
            "--exclude",
            "*.tmp",
        ],
    );
    copied.expect_code(0);
    let mut said: Vec<_> = copied.stdout().lines().map(str::to_owned).collect();
    said.sort();
    assert_eq!(said, lines);
    assert!(!daemon.root().join("new/dir/b.tmp").exists());
    // An empty source is refused by the guard there.
    let empty = daemon.work.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let refused = daemon.ask(&token, &["mirror", text(&empty), "{}new/dir", "--json"]);
    refused.expect_code(12);
    assert_eq!(summary(&refused)["guard"]["reason"], "SourceEmpty");
    assert!(daemon.root().join("new/dir/a.txt").exists());
    daemon.assert_survived();
}

#[test]
fn a_file_gets_the_name_or_goes_into_the_directory() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = source(&daemon);
    let file = source.join("file");
    fs::write(&file, vec![7; 300_000]).unwrap();
    fs::write(source.join("beside"), "not meant").unwrap();
    let token = daemon.token(&["--scope", "write"]);
    for (to, name) in [
        ("{}x/renamed", "x/renamed"),
        ("{}x/", "x/file"),
        ("{}x", "x/file"),
    ] {
        daemon
            .ask(&token, &["push", text(&file), to])
            .expect_code(0);
        assert_eq!(
            fs::read(daemon.root().join(name)).unwrap(),
            vec![7; 300_000],
            "{to}"
        );
        fs::remove_file(daemon.root().join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(daemon.root().join("x")).unwrap().count(), 0);
    let all = daemon.token(&[]);
    daemon
        .ask(&all, &["mirror", text(&file), "{}x"])
        .expect_code(2);
    daemon.assert_survived();
}

#[test]
fn what_may_not_be_written_is_not() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = source(&daemon);
    fs::write(source.join("file"), "x").unwrap();
    let outside = daemon.work.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(daemon.root().join("mine")).unwrap();
    std::os::unix::fs::symlink(&outside, daemon.root().join("mine/link")).unwrap();
    let before = Snapshot::of(daemon.work.path()).unwrap();
    let reader = daemon.token(&["--scope", "read,delete"]);
    let mine = daemon.token(&["--prefix", "mine"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = crate::serve::token(&elsewhere.path().join("identity"), &[]);
    for (token, to, code) in [
        (&reader, "{}mine", 31),
        (&mine, "{}", 31),
        (&mine, "{}mines", 31),
        (&mine, "{}mine/../x", 2),
        (&mine, "{}mine/link", 2),
        (&mine, "{}mine/link/x", 2),
        (&foreign, "{}mine", 31),
        (&String::new(), "{}mine", 31),
    ] {
        daemon
            .ask(token, &["push", text(&source), to])
            .expect_code(code);
    }
    before.assert_untouched(&Snapshot::of(daemon.work.path()).unwrap());
    daemon
        .ask(&mine, &["push", text(&source), "{}mine"])
        .expect_code(0);
    assert!(daemon.root().join("mine/file").exists());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    daemon.assert_survived();
}

#[test]
fn a_daemon_that_is_read_only_takes_nothing() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&["--read-only"]);
    let source = source(&daemon);
    fs::write(source.join("file"), "x").unwrap();
    fs::write(daemon.root().join("there"), "x").unwrap();
    let token = daemon.token(&[]);
    let refused = [
        daemon.ask(&token, &["push", text(&source), "{}"]),
        daemon.ask(&token, &["push", "-n", text(&source), "{}"]),
        daemon.ask(&token, &["purge", "--yes", "{}", "there"]),
    ];
    for refused in refused {
        refused.expect_code(31);
        assert!(
            refused.stderr().contains("read-only"),
            "{}",
            refused.stderr()
        );
    }
    assert_eq!(fs::read_dir(daemon.root()).unwrap().count(), 1);
    daemon.ask(&token, &["list", "{}"]).expect_code(0);
    daemon.assert_survived();
}

#[test]
fn two_pushes_go_on_at_once_and_one_place_has_one_writer() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = daemon.work.path().join("source");
    random_tree(&source);
    let token = daemon.token(&[]);
    let pushes = ["a", "b"].map(|to| {
        let to = format!("{{}}{to}");
        start(daemon.command(&token, &["push", text(&source), &to])).unwrap()
    });
    for push in pushes {
        push.finish().unwrap().expect_code(0);
    }
    oracle::assert_mirrored(&source, &daemon.root().join("a"));
    oracle::assert_mirrored(&source, &daemon.root().join("b"));
    daemon.assert_survived();
}

#[test]
fn one_place_has_one_writer_and_is_given_back_when_its_client_is_gone() {
    let _shared = machine::shared();
    // What is queued is never taken, so a session goes on until its client has gone or it is found to stall.
    let daemon = Daemon::start_with(&[], &[("BLIT_TEST_BLOCK_QUEUE", "destination")]);
    let source = source(&daemon);
    fs::write(source.join("file"), "x").unwrap();
    let token = daemon.token(&[]);
    let sessions = || {
        let pong = daemon.ask(&token, &["ping", "{}", "--json"]);
        let pong: Value = serde_json::from_str(&pong.stdout()).unwrap();
        pong["sessions"].as_u64().unwrap()
    };
    let push = start(daemon.command(&token, &["push", text(&source), "{}some/where"])).unwrap();
    assert!(
        push.wait_until("open a session", || sessions() == 1)
            .unwrap()
    );
    for to in ["{}some/where", "{}some/where/deep", "{}some", "{}"] {
        let refused = daemon.ask(&token, &["push", text(&source), to]);
        refused.expect_code(1);
        assert!(
            refused
                .stderr()
                .contains("somebody else writes to `/some/where`"),
            "{}",
            refused.stderr()
        );
    }
    fs::create_dir_all(daemon.root().join("some/where")).unwrap();
    let purge = daemon.ask(&token, &["purge", "--yes", "{}", "some"]);
    purge.expect_code(1);
    // Dropping it kills it.
    drop(push);
    assert!(
        daemon
            .running
            .wait_until("notice", || sessions() == 0)
            .unwrap()
    );
    daemon
        .ask(&token, &["purge", "--yes", "{}", "some"])
        .expect_code(0);
    daemon.assert_survived();
}

#[test]
fn a_daemon_ends_its_sessions_cleanly_and_the_next_one_goes_on() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = source(&daemon);
    for n in 0..40 {
        fs::write(source.join(format!("{n}")), vec![n; 2 << 20]).unwrap();
    }
    let token = daemon.token(&[]);
    let push = start(daemon.command(&token, &["push", text(&source), "{}to"])).unwrap();
    let begun = || daemon.root().join("to").exists();
    assert!(push.wait_until("begin to write", begun).unwrap());
    daemon.running.signal(Signal::SIGTERM);
    let Daemon { work, running, .. } = daemon;
    running.finish().unwrap().expect_code(0);
    let ended = push.finish().unwrap();
    // It may have been faster than the signal.
    assert!(
        matches!(ended.code, Some(0 | 30 | 130)),
        "{:?} {}",
        ended.code,
        ended.stderr()
    );
    let daemon = Daemon::start_in(work, &[]);
    daemon
        .ask(&token, &["push", text(&source), "{}to"])
        .expect_code(0);
    oracle::assert_mirrored(&source, &daemon.root().join("to"));
    daemon.assert_survived();
}

#[test]
fn purge_removes_what_was_named_and_asks_before() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    fs::create_dir_all(daemon.root().join("d/gone/below")).unwrap();
    fs::write(daemon.root().join("d/gone/below/file"), "x").unwrap();
    fs::write(daemon.root().join("d/kept"), "x").unwrap();
    let token = daemon.token(&["--scope", "delete", "--prefix", "d"]);
    let asks = daemon.ask(&token, &["purge", "{}d", "gone"]);
    asks.expect_code(2);
    assert!(asks.stderr().contains("--yes"), "{}", asks.stderr());
    let would = daemon.ask(&token, &["purge", "-n", "{}d", "gone"]);
    would.expect_code(0);
    assert!(
        would.stdout().contains("would remove 3 entries"),
        "{}",
        would.stdout()
    );
    for (path, code) in [("..", 2), ("/", 2), ("missing", 2)] {
        daemon
            .ask(&token, &["purge", "--yes", "{}d", path])
            .expect_code(code);
    }
    daemon
        .ask(&token, &["purge", "--yes", "{}", "d"])
        .expect_code(2);
    daemon
        .ask(&token, &["purge", "--yes", "{}", "e"])
        .expect_code(31);
    let writer = daemon.token(&["--scope", "read,write"]);
    daemon
        .ask(&writer, &["purge", "--yes", "{}d", "gone"])
        .expect_code(31);
    assert!(daemon.root().join("d/gone/below/file").exists());
    let done = daemon.ask(&token, &["purge", "--yes", "{}d", "gone"]);
    done.expect_code(0);
    assert!(!daemon.root().join("d/gone").exists() && daemon.root().join("d/kept").exists());
    daemon.assert_survived();
}

#[test]
fn a_push_is_said_as_a_run_on_one_host_is() {
    let _shared = machine::shared();
    let daemon = Daemon::start(&[]);
    let source = source(&daemon);
    fs::write(source.join("file"), "x").unwrap();
    let token = daemon.token(&[]);
    let pushed = daemon.ask(
        &token,
        &["push", text(&source), "{}", "--progress", "always"],
    );
    pushed.expect_code(0);
    assert!(
        pushed.stderr().contains("copied 1 file (1 B)"),
        "{}",
        pushed.stderr()
    );
    let quiet = daemon.ask(&token, &["push", text(&source), "{}", "--quiet"]);
    quiet.expect_code(0);
    assert_eq!(quiet.stderr(), "");
    for (args, said) in [
        (
            vec!["push", "--max-delete", "1", text(&source), "{}"],
            "--mirror",
        ),
        (vec!["push", text(&source), "/tmp/here"], "blit copy"),
        (vec!["copy", "{}", "{}x"], "both on other hosts"),
        (vec!["push", "/no such place", "{}"], "does not exist"),
        (
            vec!["push", "--workers", "2", text(&source), "{}"],
            "--workers",
        ),
        (
            vec!["copy", "--token-file", "/t", text(&source), "/tmp/here"],
            "both on this host",
        ),
    ] {
        let refused = daemon.ask(&token, &args);
        refused.expect_code(2);
        assert!(
            refused.stderr().contains(said),
            "{args:?}: {}",
            refused.stderr()
        );
    }
    daemon.assert_survived();
}

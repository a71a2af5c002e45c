//! The performance history: what is written about a run, by whom, and what it must not cost.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use blit_e2e::process::{Finished, run, start};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::blit::{blit, manifest, spec, volume};
use crate::serve::{listening, serving, token};

/// A home directory, a tree to copy, and the program with a history.
struct Setting {
    work: TempDir,
}

impl Setting {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        fs::create_dir_all(work.path().join("secret-source/secret-directory")).unwrap();
        for name in ["a", "b", "secret-directory/c"] {
            fs::write(work.path().join("secret-source").join(name), "content").unwrap();
        }
        Self { work }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    fn history(&self) -> PathBuf {
        self.path("config/blit/perf_local.jsonl")
    }

    fn blit(&self, arguments: &[&str]) -> Command {
        let mut command = blit(arguments);
        command
            .current_dir(self.work.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env_remove("BLIT_DISABLE_PERF_HISTORY");
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        run(self.blit(arguments)).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.history()).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn every_run_is_one_line_of_figures_without_a_name() {
    let setting = Setting::new();
    setting
        .run(&["copy", "secret-source", "secret-destination"])
        .expect_code(0);
    setting
        .run(&["mirror", "secret-source", "secret-destination"])
        .expect_code(0);
    // Wrong usage is no run; a run that was refused is one.
    setting
        .run(&["mirror", "secret-missing", "x"])
        .expect_code(2);
    fs::create_dir(setting.path("secret-empty")).unwrap();
    setting
        .run(&["mirror", "secret-empty", "secret-destination"])
        .expect_code(12);

    let lines = setting.lines();
    let figure = |name: &str| {
        lines
            .iter()
            .map(|line| line[name].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(figure("operation"), ["copy", "mirror", "mirror"]);
    assert_eq!(figure("result"), ["Complete", "Complete", "SourceEmpty"]);
    assert_eq!(figure("filesCopied"), [3, 0, 0]);
    assert_eq!(figure("filesUnchanged"), [0, 3, 0]);
    assert_eq!(figure("bytesCopied"), [21, 0, 0]);
    assert!(lines[0]["fileSystems"]["same"].as_bool().unwrap());
    assert!(lines[0]["secondsToFirstByte"].as_f64().unwrap() > 0.0);
    assert!(lines[0]["planningSeconds"].as_f64().unwrap() > 0.0);
    for activity in ["scan", "read", "write", "metadata", "delete", "wait"] {
        assert!(lines[0]["timeSpent"][activity].is_f64(), "{activity}");
    }

    let text = fs::read_to_string(setting.history()).unwrap();
    assert!(!text.contains("secret"), "a name is in {text}");
    assert_eq!(setting.history().metadata().unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_manifest_run_here_is_one_line_and_its_movers_write_none() {
    let setting = Setting::new();
    let mut command = setting.blit(&["run", "-f"]);
    command
        .arg(manifest(
            setting.work.path(),
            &spec("Mirror", "transport: {fallback: Deny}"),
        ))
        .arg("--volume")
        .arg(volume("source", &setting.path("secret-source")))
        .arg("--volume")
        .arg(volume("destination", &setting.path("destination")));
    run(command).unwrap().expect_code(0);
    let lines = setting.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["operation"], "mirror");
    assert_eq!(lines[0]["transport"], "TCP");
    assert_eq!(lines[0]["filesCopied"], 3);
    assert!(lines[0]["timeSpent"].is_object(), "{lines:?}");
}

#[test]
fn a_push_and_a_pull_are_one_line_each_where_they_were_started_and_none_at_the_daemon() {
    let setting = Setting::new();
    let (served, identity) = (setting.path("served"), setting.path("identity"));
    fs::create_dir(&served).unwrap();
    let mut command = serving(&served);
    // It could write one: it has a home of its own, and nobody has switched that off.
    command
        .arg("--identity")
        .arg(&identity)
        .env("XDG_CONFIG_HOME", setting.path("daemon"))
        .env_remove("BLIT_DISABLE_PERF_HISTORY");
    let daemon = start(command).unwrap();
    let url = format!("blit://{}/secret-remote", listening(&daemon));
    let token = token(&identity, &[]);
    for [command, from, to] in [
        ["push", "secret-source", &url],
        ["pull", &url, "secret-pulled"],
    ] {
        let mut command = setting.blit(&[command, "--no-fallback", from, to]);
        command.env("BLIT_TOKEN", &token);
        run(command).unwrap().expect_code(0);
    }
    daemon.signal(Signal::SIGTERM);
    daemon.finish().unwrap().expect_code(0);

    let lines = setting.lines();
    let [pushed, pulled] = &lines[..] else {
        panic!("not two lines: {lines:?}");
    };
    for line in [pushed, pulled] {
        assert_eq!(line["result"], "Complete", "{line}");
        assert_eq!(line["transport"], "TCP", "{line}");
        assert_eq!(line["filesCopied"], 3, "{line}");
        assert_eq!(line["bytesCopied"], 21, "{line}");
    }
    // Of the other host's file system nobody here knows.
    assert_eq!(pushed["fileSystems"]["destination"], "", "{pushed}");
    assert_eq!(pulled["fileSystems"]["source"], "", "{pulled}");
    let text = fs::read_to_string(setting.history()).unwrap();
    assert!(!text.contains("secret"), "a name is in {text}");
    assert!(!setting.path("daemon").exists());
}

#[test]
fn it_can_be_switched_off() {
    let setting = Setting::new();
    let mut command = setting.blit(&["copy", "secret-source", "x"]);
    command.env("BLIT_DISABLE_PERF_HISTORY", "1");
    run(command).unwrap().expect_code(0);
    assert!(!setting.path("config").exists());
}

#[test]
fn what_is_wrong_with_it_is_no_failure_of_a_run() {
    let copies = |setting: &Setting| {
        let finished = setting.run(&["copy", "secret-source", "x"]);
        finished.expect_code(0);
        assert!(
            !finished.stderr().contains("history"),
            "{}",
            finished.stderr()
        );
    };
    // A file where the directory should be.
    let setting = Setting::new();
    fs::write(setting.path("config"), "").unwrap();
    copies(&setting);
    // A directory where the file should be.
    let setting = Setting::new();
    fs::create_dir_all(setting.history()).unwrap();
    copies(&setting);
    // A full file system.
    let setting = Setting::new();
    fs::create_dir_all(setting.path("config/blit")).unwrap();
    std::os::unix::fs::symlink("/dev/full", setting.history()).unwrap();
    copies(&setting);
    // No home at all.
    let setting = Setting::new();
    let mut command = setting.blit(&["copy", "secret-source", "x"]);
    command.env_remove("XDG_CONFIG_HOME").env_remove("HOME");
    run(command).unwrap().expect_code(0);
}

#[test]
fn runs_at_the_same_time_do_not_tear_lines() {
    let setting = Setting::new();
    thread::scope(|scope| {
        for n in 0..8 {
            let setting = &setting;
            scope.spawn(move || {
                let destination = format!("destination-{n}");
                setting
                    .run(&["copy", "secret-source", &destination])
                    .expect_code(0);
            });
        }
    });
    assert_eq!(setting.lines().len(), 8);
}

#[test]
fn diagnostics_show_recent_runs_and_where_their_time_went() {
    let setting = Setting::new();
    let said = |arguments: &[&str]| {
        let finished = setting.run(arguments);
        finished.expect_code(0);
        String::from_utf8(finished.stdout).unwrap()
    };
    assert!(said(&["diagnostics", "perf"]).starts_with("No runs yet."));
    for _ in 0..3 {
        said(&["copy", "secret-source", "destination"]);
    }
    let table = said(&["diagnostics", "perf"]);
    assert_eq!(table.matches(" copy ").count(), 3, "{table}");
    for column in ["scan", "read", "write", "metadata", "delete", "wait"] {
        assert!(table.contains(column), "{table}");
    }
    let last = said(&["diagnostics", "perf", "--runs", "1", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&last).unwrap(),
        setting.lines()[2]
    );
}

#[test]
fn a_history_of_others_cannot_be_read_and_says_so() {
    let setting = Setting::new();
    fs::create_dir_all(setting.history()).unwrap();
    let finished = setting.run(&["diagnostics", "perf"]);
    finished.expect_code(1);
    let name = Path::new("perf_local.jsonl").display().to_string();
    assert!(finished.stderr().contains(&name), "{}", finished.stderr());
    fs::set_permissions(setting.history(), PermissionsExt::from_mode(0o700)).unwrap();
}

//! Pulls from a daemon, as people make them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::mutate::mutate;
use blit_e2e::process::{Finished, Running, run, start};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::{oracle, seed, tree};
use nix::sys::signal::Signal;

use crate::blit::{PROGRAM, blit, summary};
use crate::machine;
use crate::serve::{listening, token};

/// A source that a daemon serves, and a destination on the same file system.
struct Setting {
    area: Area,
    daemon: Option<Running>,
    address: SocketAddr,
}

impl Setting {
    /// Fills the source before it is served.
    fn on(fill: impl FnOnce(&Path)) -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        fs::create_dir(area.join("root")).unwrap();
        fill(&area.join("root"));
        let (daemon, address) = serve(&area, "127.0.0.1:0");
        Self {
            area,
            daemon: Some(daemon),
            address,
        }
    }

    fn source(&self) -> PathBuf {
        self.area.join("root")
    }

    fn destination(&self) -> PathBuf {
        self.area.join("destination")
    }

    /// Returns a command; `{}` is the URL of the source, `{dst}` the destination.
    fn command(&self, scope: &[&str], args: &[&str]) -> Command {
        let url = format!("blit://{}", self.address);
        let destination = self.destination().display().to_string();
        let mut command = Command::new(PROGRAM);
        command.args(
            args.iter()
                .map(|arg| arg.replace("{dst}", &destination).replace("{}", &url)),
        );
        command.env("BLIT_TOKEN", token(&self.area.join("identity"), scope));
        command
    }

    fn run(&self, args: &[&str]) -> Finished {
        run(self.command(&["--scope", "read"], args)).unwrap()
    }

    #[track_caller]
    fn complete(&self, args: &[&str]) -> serde_json::Value {
        let finished = self.run(&[args, &["--json"]].concat());
        finished.expect_code(0);
        summary(&finished)
    }

    /// Starts the daemon again where it was.
    fn serve_again(&mut self) {
        let (daemon, address) = serve(&self.area, &self.address.to_string());
        (self.daemon, self.address) = (Some(daemon), address);
    }
}

fn serve(area: &Area, listen: &str) -> (Running, SocketAddr) {
    let mut command = blit(&["serve", "--json", "--listen", listen, "--data-port", "0"]);
    command.arg("--root").arg(area.join("root"));
    command.arg("--identity").arg(area.join("identity"));
    let running = start(command).unwrap();
    let address = listening(&running);
    (running, address)
}

const MIRROR: [&str; 6] = ["pull", "--mirror", "--max-delete", "100%", "{}/", "{dst}"];

#[track_caller]
fn touches_nothing(setting: &Setting, args: &[&str]) {
    let before = Snapshot::of(&setting.destination()).unwrap();
    let summary = setting.complete(args);
    assert_eq!(summary["filesCopied"], 0, "{summary}");
    assert_eq!(summary["metadataRepaired"], 0, "{summary}");
    assert_eq!(summary["bytesSent"], 0, "{summary}");
    before.assert_untouched(&Snapshot::of(&setting.destination()).unwrap());
}

#[test]
fn everything_is_pulled_and_changes_are_followed() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        fs::remove_dir(root).unwrap();
        tree::build(&tree::every_kind(), root).unwrap();
    });
    let first = setting.complete(&MIRROR);
    assert_eq!(first["transport"], "TCP", "{first}");
    assert!(first["bytesSent"].as_u64().unwrap() > 0, "{first}");
    oracle::assert_mirrored(&setting.source(), &setting.destination());
    touches_nothing(&setting, &MIRROR);
    let seed = seed::for_test();
    for round in 0..2 {
        let seed = seed.wrapping_add(round);
        println!("{}={seed}", seed::VARIABLE);
        mutate(&setting.source(), 200, seed).unwrap();
        setting.complete(&MIRROR);
        oracle::assert_mirrored(&setting.source(), &setting.destination());
    }
    // The same through the other command, which takes a remote source as well.
    touches_nothing(&setting, &["mirror", "{}/", "{dst}"]);
}

#[test]
fn by_content_only_what_differs_is_sent() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        for number in 0..40 {
            fs::write(root.join(format!("f{number}")), vec![number; 50_000]).unwrap();
        }
    });
    setting.complete(&["copy", "{}/", "{dst}"]);
    let altered = setting.destination().join("f7");
    let time = fs::metadata(&altered).unwrap().modified().unwrap();
    fs::write(&altered, vec![99; 50_000]).unwrap();
    fs::File::options()
        .write(true)
        .open(&altered)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let blind = setting.complete(&["pull", "{}/", "{dst}"]);
    assert_eq!(blind["filesCopied"], 0, "{blind}");
    let seeing = setting.complete(&["pull", "-c", "{}/", "{dst}"]);
    assert_eq!(seeing["filesCopied"], 1, "{seeing}");
    assert_eq!(seeing["bytesSent"], 50_000, "{seeing}");
    oracle::assert_mirrored(&setting.source(), &setting.destination());
}

#[test]
fn a_copy_deletes_nothing_and_a_mirror_only_what_the_guard_allows() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        fs::write(root.join("kept"), b"kept").unwrap();
        fs::create_dir(root.join("empty")).unwrap();
    });
    fs::create_dir(setting.destination()).unwrap();
    fs::write(setting.destination().join("extra"), b"extra").unwrap();
    setting.complete(&["pull", "{}/", "{dst}"]);
    assert!(setting.destination().join("extra").exists());

    let refused = setting.run(&["pull", "--mirror", "--max-delete", "0", "{}/", "{dst}"]);
    refused.expect_code(12);
    setting
        .run(&["mirror", "{}/empty", "{dst}"])
        .expect_code(12);
    assert!(setting.destination().join("extra").exists());

    let rehearsed = setting.run(&["pull", "--mirror", "-n", "{}/", "{dst}"]);
    rehearsed.expect_code(0);
    assert_eq!(rehearsed.stdout().trim(), "*deleting   extra");
    let excluded = ["pull", "--mirror", "--exclude", "extra", "{}/", "{dst}"];
    setting.complete(&excluded);
    assert!(setting.destination().join("extra").exists());
    setting.complete(&["pull", "--mirror", "{}/", "{dst}"]);
    oracle::assert_mirrored(&setting.source(), &setting.destination());
}

#[test]
fn a_rehearsed_pull_says_what_a_local_one_would() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        fs::remove_dir(root).unwrap();
        tree::build(&tree::every_kind(), root).unwrap();
    });
    let lines = |finished: &Finished| {
        finished.expect_code(0);
        let mut lines: Vec<_> = finished.stdout().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let local = blit(&["mirror", "-n"])
        .arg(setting.source())
        .arg(setting.destination())
        .output()
        .unwrap();
    let mut local: Vec<_> = String::from_utf8_lossy(&local.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    local.sort();
    assert!(local.len() > 10, "{local:?}");
    assert_eq!(
        lines(&setting.run(&["mirror", "-n", "{}/", "{dst}"])),
        local
    );
    assert!(!setting.destination().exists());
}

#[test]
fn one_file_gets_the_name_that_the_destination_says() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/one"), b"content").unwrap();
        fs::write(root.join("d/other"), b"not meant").unwrap();
        symlink("one", root.join("d/link")).unwrap();
    });
    setting.complete(&["pull", "{}/d/one", "{dst}/new/name"]);
    setting.complete(&["copy", "{}/d/one", "{dst}/new"]);
    setting.complete(&["pull", "{}/d/one", "{dst}/into/"]);
    let found = |dir: &str| {
        let entries = fs::read_dir(setting.destination().join(dir)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(found("new"), ["name", "one"]);
    assert_eq!(found("into"), ["one"]);
    let (from, to) = (
        fs::metadata(setting.source().join("d/one")).unwrap(),
        fs::metadata(setting.destination().join("new/name")).unwrap(),
    );
    assert_eq!(
        (from.mtime(), from.mtime_nsec(), from.mode()),
        (to.mtime(), to.mtime_nsec(), to.mode())
    );
    assert_eq!(
        fs::read(setting.destination().join("new/name")).unwrap(),
        b"content"
    );
    let again = setting.complete(&["pull", "{}/d/one", "{dst}/new/name"]);
    assert_eq!(again["filesCopied"], 0, "{again}");

    for (wrong, said) in [
        (&["mirror", "{}/d/one", "{dst}/m"][..], "is a file"),
        (&["pull", "{}/d/link", "{dst}/m"], "symbolic link"),
        (&["pull", "{}/nowhere", "{dst}/m"], "does not exist"),
    ] {
        let refused = setting.run(wrong);
        refused.expect_code(2);
        assert!(refused.stderr().contains(said), "{}", refused.stderr());
    }
    assert!(!setting.destination().join("m").exists());
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| fs::write(root.join("f"), b"x").unwrap());
    let inside = setting.source().join("inside");
    let inside = inside.to_str().unwrap();
    let above = setting.area.path().to_str().unwrap();
    let source = setting.source();
    for wrong in [
        &["copy", "{}/", "{}/elsewhere"][..],
        &["pull", "{dst}", "{dst}"],
        &["pull", "--max-delete", "1", "{}/", "{dst}"],
        &["pull", "{}/", inside],
        &["mirror", "{}/", source.to_str().unwrap()],
        &["mirror", "{}/", above],
        &["pull", "{}/../etc", "{dst}"],
    ] {
        setting.run(wrong).expect_code(2);
    }
    assert!(!setting.destination().exists());
    assert_eq!(fs::read_dir(setting.source()).unwrap().count(), 1);
}

#[test]
fn only_who_may_read_there_can_pull() {
    let _shared = machine::shared();
    let setting = Setting::on(|root| {
        fs::create_dir(root.join("mine")).unwrap();
        fs::write(root.join("mine/f"), b"x").unwrap();
        fs::write(root.join("secret"), b"x").unwrap();
        symlink("..", root.join("mine/up")).unwrap();
    });
    let prefixed = ["--scope", "read", "--prefix", "/mine"];
    for (scope, path) in [
        (&["--scope", "write,delete"][..], "{}/"),
        (&prefixed, "{}/"),
        (&prefixed, "{}/secret"),
        (&prefixed, "{}/mine2"),
    ] {
        let refused = run(setting.command(scope, &["pull", path, "{dst}"])).unwrap();
        refused.expect_code(31);
    }
    let through = run(setting.command(&prefixed, &["pull", "{}/mine/up/", "{dst}"])).unwrap();
    through.expect_code(2);
    let mut nobody = setting.command(&prefixed, &["pull", "{}/mine", "{dst}"]);
    nobody.env_remove("BLIT_TOKEN");
    run(nobody).unwrap().expect_code(31);
    assert!(!setting.destination().exists());
    let allowed = setting.command(&prefixed, &["pull", "{}/mine", "{dst}"]);
    run(allowed).unwrap().expect_code(0);
    oracle::assert_mirrored(&setting.source().join("mine"), &setting.destination());
}

/// A tree that takes a moment to pull.
fn many(root: &Path) {
    for directory in 0..10 {
        let path = root.join(format!("d{directory}"));
        fs::create_dir(&path).unwrap();
        for file in 0..100 {
            fs::write(path.join(format!("f{file}")), vec![directory; 20_000]).unwrap();
        }
    }
    for large in 0..4 {
        fs::write(root.join(format!("large{large}")), vec![large; 24 << 20]).unwrap();
    }
}

/// Kills one side as soon as something has arrived; the next run finishes what was begun.
fn killed(client: bool) {
    let mut setting = Setting::on(many);
    let mut interrupted = 0;
    for _ in 0..3 {
        let _ = fs::remove_dir_all(setting.destination());
        let pulling = start(setting.command(&["--scope", "read"], &MIRROR)).unwrap();
        let destination = setting.destination();
        let begun = || fs::read_dir(&destination).is_ok_and(|mut entries| entries.next().is_some());
        pulling.wait_until("write something", begun).unwrap();
        if client {
            pulling.signal(Signal::SIGKILL);
            interrupted += usize::from(pulling.finish().unwrap().code != Some(0));
        } else {
            setting.daemon.take().unwrap().signal(Signal::SIGKILL);
            let ended = pulling.finish().unwrap();
            if ended.code != Some(0) {
                ended.expect_code(30);
                interrupted += 1;
            }
            setting.serve_again();
        }
        setting.complete(&MIRROR);
        oracle::assert_mirrored(&setting.source(), &setting.destination());
    }
    assert!(interrupted > 0, "no run was interrupted");
}

#[test]
fn a_pull_whose_daemon_was_killed_ends_with_30_and_the_next_finishes_it() {
    let _shared = machine::shared();
    killed(false);
}

#[test]
fn a_pull_that_was_killed_is_finished_by_the_next_and_the_daemon_serves_on() {
    let _shared = machine::shared();
    killed(true);
}

#[test]
fn a_pull_that_is_interrupted_ends_with_130_and_nobody_waits_for_it() {
    let _shared = machine::shared();
    let setting = Setting::on(many);
    let pulling = start(setting.command(&["--scope", "read"], &MIRROR)).unwrap();
    let destination = setting.destination();
    let begun = || fs::read_dir(&destination).is_ok_and(|mut entries| entries.next().is_some());
    pulling.wait_until("write something", begun).unwrap();
    pulling.signal(Signal::SIGTERM);
    let ended = pulling.finish().unwrap();
    // It may have been faster.
    assert!(matches!(ended.code, Some(0 | 130)), "{:?}", ended.code);
    setting.complete(&MIRROR);
    oracle::assert_mirrored(&setting.source(), &setting.destination());
}

//! `blit verify`: it finds every difference, says what and where, and writes nothing.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle::{self, What};
use blit_e2e::process::run;
use blit_e2e::seed;
use blit_e2e::snapshot::Snapshot;
use blit_e2e::tree::{self, random};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::Value;

use crate::blit::{Way, as_nobody, blit, summary};
use crate::checksum::alter_a_byte;
use crate::local_mirror::Setting;
use crate::machine;

/// Pairs of random trees that are compared.
const CASES: u64 = 25;
/// Entries of a random tree, at most.
const NODES: usize = 40;

fn verify(source: &Path, destination: &Path) -> Command {
    let mut command = blit(&["verify"]);
    command.arg(source).arg(destination);
    command
}

/// Verifies with this exit code; returns what stdout says, sorted.
#[track_caller]
fn lines(source: &Path, destination: &Path, code: i32) -> Vec<String> {
    let finished = run(verify(source, destination)).unwrap();
    finished.expect_code(code);
    let text = finished.stdout();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn equal_trees_have_no_difference_and_neither_side_is_touched() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    setting.mirror(Way::Local).complete();
    let before = [&setting.source, &setting.destination].map(|root| Snapshot::of(root).unwrap());
    assert_eq!(lines(&setting.source, &setting.destination, 0), [""; 0]);
    let mut command = verify(&setting.source, &setting.destination);
    command.arg("--json");
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let summary = summary(&finished);
    assert_eq!(summary["differences"], 0, "{summary}");
    assert_eq!(
        summary["filesUnchanged"], summary["filesTotal"],
        "{summary}"
    );
    for (before, root) in before.iter().zip([&setting.source, &setting.destination]) {
        before.assert_untouched(&Snapshot::of(root).unwrap());
    }
}

#[test]
fn each_kind_of_difference_is_named_with_its_place() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    let large = vec![1; 100 << 20];
    let write = |name: &str, content: &[u8]| {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    for name in [
        "content", "shorter", "kind", "mode", "owner", "time", "xattr", "gone", "same",
    ] {
        write(name, b"content");
    }
    for name in ["gone-too/a/b", "dir/x", "a", "lone", "lone-too"] {
        write(name, b"content");
    }
    write("large", &large);
    symlink("target", source.join("symlink")).unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    let mut copy = blit(&["mirror", "--quiet"]);
    copy.arg(&source).arg(&destination);
    run(copy).unwrap().expect_code(0);
    assert_eq!(lines(&source, &destination, 0), [""; 0]);

    let there = |name: &str| destination.join(name);
    alter_a_byte(&there("content"), 3);
    alter_a_byte(&there("large"), (100 << 20) - 1);
    let keeping_time = |name: &str, change: &dyn Fn(&Path)| {
        let mtime = there(name).metadata().unwrap().modified().unwrap();
        change(&there(name));
        File::open(there(name))
            .unwrap()
            .set_modified(mtime)
            .unwrap();
    };
    keeping_time("shorter", &|path| fs::write(path, "conten").unwrap());
    fs::remove_file(there("kind")).unwrap();
    fs::create_dir(there("kind")).unwrap();
    fs::write(there("kind/below"), "").unwrap();
    fs::set_permissions(there("mode"), Permissions::from_mode(0o600)).unwrap();
    chown(there("owner"), Some(5), None).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    File::open(there("time"))
        .unwrap()
        .set_modified(yesterday)
        .unwrap();
    let set = Command::new("setfattr")
        .args(["-n", "user.x", "-v", "1"])
        .arg(there("xattr"))
        .status();
    assert!(set.unwrap().success());
    fs::remove_file(there("gone")).unwrap();
    fs::remove_dir_all(there("gone-too")).unwrap();
    fs::remove_file(there("symlink")).unwrap();
    symlink("elsewhere", there("symlink")).unwrap();
    fs::create_dir_all(there("more/inside")).unwrap();
    fs::write(there("more/inside/file"), "").unwrap();
    keeping_time("b", &|path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "content").unwrap();
    });
    keeping_time("lone-too", &|path| {
        fs::remove_file(path).unwrap();
        fs::hard_link(there("lone"), path).unwrap();
    });
    // A directory whose names changed has another time, unless somebody sets it back.
    keeping_time("dir", &|path| fs::write(path.join("y"), "").unwrap());

    let before = Snapshot::of(&destination).unwrap();
    let mut expected = [
        "content     content",
        "content     large",
        "content     shorter",
        "extraneous  dir/y",
        "extraneous  kind/below",
        "extraneous  more",
        "extraneous  more/inside",
        "extraneous  more/inside/file",
        "kind        kind",
        "missing     gone",
        "missing     gone-too",
        "missing     gone-too/a",
        "missing     gone-too/a/b",
        "mode        mode",
        "owner       owner",
        "target      symlink",
        "time        .",
        "time        lone-too",
        "time        symlink",
        "time        time",
        "xattr       xattr",
    ]
    .map(str::to_owned)
    .to_vec();
    expected.sort();
    let mut found = lines(&source, &destination, 14);
    // Of a group whose names do not belong together any of them may be the odd one.
    let links: Vec<_> = found
        .extract_if(.., |line| line.starts_with("links"))
        .collect();
    assert!(
        links
            .iter()
            .any(|line| line.ends_with(" a") || line.ends_with(" b")),
        "{links:?}"
    );
    assert!(links.iter().any(|line| line.contains("lone")), "{links:?}");
    let of_lone = |line: &String| line == "time        lone" || line == "time        lone-too";
    found.retain(|line| !of_lone(line));
    expected.retain(|line| !of_lone(line));
    assert_eq!(found, expected);
    before.assert_untouched(&Snapshot::of(&destination).unwrap());
}

#[test]
fn what_cannot_be_read_is_no_difference_but_a_failure() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    fs::set_permissions(area.path(), Permissions::from_mode(0o755)).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    for root in [&source, &destination] {
        fs::create_dir_all(root.join("closed")).unwrap();
        for name in ["open", "secret", "closed/below"] {
            let path = root.join(name);
            fs::write(&path, "content").unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        for directory in [&root.join("closed"), root] {
            File::open(directory)
                .unwrap()
                .set_modified(SystemTime::UNIX_EPOCH)
                .unwrap();
        }
    }
    // On one side the file, on the other the directory.
    fs::set_permissions(source.join("secret"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(destination.join("secret"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(destination.join("closed"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(source.join("closed"), Permissions::from_mode(0o700)).unwrap();

    let judged = || run(as_nobody(&verify(&source, &destination), area.path())).unwrap();
    let finished = judged();
    finished.expect_code(10);
    assert_eq!(finished.stdout(), "");
    for name in ["secret", "closed"] {
        assert!(
            finished
                .stderr()
                .contains(&format!("error: {name}: cannot")),
            "{}",
            finished.stderr()
        );
    }
    // A difference weighs more than what could not be read.
    alter_a_byte(&destination.join("open"), 0);
    let finished = judged();
    finished.expect_code(14);
    assert_eq!(finished.stdout(), "content     open\n");
}

#[test]
fn it_finds_in_random_trees_what_an_independent_judge_finds() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let seed = seed::for_test();
    let config = Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    for case in 0..CASES {
        let replay = format!("case {case}, replay with {}={seed}", seed::VARIABLE);
        let (source, destination) = (area.join("source"), area.join("destination"));
        let trees = [0, 1].map(|_| {
            random::trees(NODES)
                .new_tree(&mut runner)
                .unwrap()
                .current()
        });
        tree::build(&trees[0], &source).unwrap();
        tree::build(&trees[1], &destination).unwrap();
        let judge = oracle::comparer::differences(&source, &destination, &Default::default());
        let judged: BTreeSet<Vec<u8>> = judge
            .unwrap()
            .into_iter()
            .filter(|found| !matches!(found.what, What::Hole(_)))
            .filter(|found| !is_of_links(&found.what))
            .map(|found| found.path)
            .collect();
        let mut command = verify(&source, &destination);
        command.arg("--json");
        let finished = run(command).unwrap();
        let all = entries(&finished.stdout());
        // The judge says it of a directory and leaves out what is below.
        let alone: BTreeSet<&[u8]> = all
            .iter()
            .filter(|(_, change)| ["missing", "extraneous", "kind"].contains(&&**change))
            .map(|(path, _)| &**path)
            .collect();
        let below = |path: &[u8]| {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            slashes
                .into_iter()
                .any(|(at, _)| alone.contains(&path[..at]))
        };
        let found: BTreeSet<Vec<u8>> = all
            .iter()
            .filter(|(path, change)| change != "links" && !below(path))
            .map(|(path, _)| path.clone())
            .collect();
        let shown = |set: &BTreeSet<Vec<u8>>| {
            let paths: Vec<_> = set
                .iter()
                .map(|path| path.escape_ascii().to_string())
                .collect();
            paths.join("\n")
        };
        assert_eq!(shown(&found), shown(&judged), "{replay}");
        finished.expect_code(if all.is_empty() { 0 } else { 14 });

        let mut mirror = blit(&[
            "mirror",
            "-c",
            "--quiet",
            "--max-delete=100%",
            "--allow-empty-source",
        ]);
        mirror.arg(&source).arg(&destination);
        run(mirror).unwrap().expect_code(0);
        assert_eq!(lines(&source, &destination, 0), [""; 0], "{replay}");
        fs::remove_dir_all(&source).unwrap();
        fs::remove_dir_all(&destination).unwrap();
    }
}

fn is_of_links(what: &What) -> bool {
    matches!(
        what,
        What::LinkBroken(_) | What::LinkJoined(_) | What::LinkCount(..)
    )
}

/// Returns path and difference of each entry event.
fn entries(stdout: &str) -> Vec<(Vec<u8>, String)> {
    use base64::Engine as _;
    stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["type"] == "entry")
        .map(|event| {
            let path = match event["path"].as_str() {
                Some(path) => path.as_bytes().to_vec(),
                None => base64::engine::general_purpose::STANDARD
                    .decode(event["pathBytes"].as_str().unwrap())
                    .unwrap(),
            };
            (path, event["change"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn a_missing_side_is_wrong_usage_and_nothing_is_made() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (here, missing) = (area.join("here"), area.join("missing"));
    fs::create_dir(&here).unwrap();
    File::create(area.join("file"))
        .unwrap()
        .write_all_at(b"x", 0)
        .unwrap();
    for (source, destination) in [
        (&here, &missing),
        (&missing, &here),
        (&here, &here),
        (&here, &area.join("file")),
    ] {
        run(verify(source, destination)).unwrap().expect_code(2);
    }
    assert!(!missing.exists());
}

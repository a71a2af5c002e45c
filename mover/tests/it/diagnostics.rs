//! What the program finds out about a machine, against what is known of file systems and users.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::run;
use serde_json::Value;

use crate::blit::{as_nobody, blit};
use crate::machine;

/// Runs `blit diagnostics probe --json` and returns what it found.
#[track_caller]
fn probe(mut command: Command, directory: &Path) -> Value {
    command
        .args(["diagnostics", "probe", "--json"])
        .arg(directory);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    assert_eq!(
        fs::read_dir(directory)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name() != "lost+found")
            .count(),
        0,
        "something was left behind"
    );
    serde_json::from_slice(&finished.stdout).unwrap()
}

/// Returns what was found of one check.
#[track_caller]
fn available<'a>(found: &'a Value, name: &str) -> &'a Value {
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    &check.unwrap_or_else(|| panic!("no {name} in {found}"))["available"]
}

#[test]
fn a_probe_tells_file_systems_apart() {
    let _shared = machine::shared();
    for (file_system, kind, clones) in [
        (FileSystem::Ext4, "ext4", false),
        (FileSystem::Xfs, "xfs", true),
    ] {
        let area = Area::on(file_system).unwrap();
        let directory = area.join("empty");
        fs::create_dir(&directory).unwrap();
        let found = probe(blit(&[]), &directory);
        assert_eq!(found["fileSystem"], kind);
        assert_eq!(available(&found, "FICLONE"), clones, "{kind}");
        for name in [
            "openat2",
            "statx mount id",
            "copy_file_range",
            "holes",
            "O_TMPFILE",
            "renameat2 flags",
            "nanoseconds",
            "chown",
            "mknod",
            "user.* attributes",
            "trusted.* attributes",
        ] {
            assert_eq!(available(&found, name), true, "{name} on {kind}: {found}");
        }
    }
}

#[test]
fn a_probe_tells_users_apart_and_what_it_could_not_try() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let directory = area.join("theirs");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
    let stranger = || as_nobody(&blit(&[]), area.path());
    let found = probe(stranger(), &directory);
    assert_eq!(found["user"], 65_534);
    for (name, expected) in [
        ("O_TMPFILE", true),
        ("chown", false),
        ("mknod", false),
        ("trusted.* attributes", false),
    ] {
        assert_eq!(available(&found, name), expected, "{name}: {found}");
    }
    fs::set_permissions(&directory, PermissionsExt::from_mode(0o555)).unwrap();
    let found = probe(stranger(), &directory);
    assert_eq!(available(&found, "openat2"), true);
    assert!(available(&found, "chown").is_null(), "{found}");
}

#[test]
fn a_probe_tells_whether_the_kernel_speaks_tls() {
    let _shared = machine::shared();
    let directory = tempfile::tempdir().unwrap();
    let found = probe(blit(&[]), directory.path());
    // Asked afterwards: the probe may have had the module loaded.
    let offered = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap();
    let offers = offered.split_whitespace().any(|name| name == "tls");
    assert_eq!(available(&found, "kernel TLS"), offers, "{found}");
    if !offers {
        assert!(found.to_string().contains("modprobe tls"), "{found}");
    }
}

#[test]
fn a_person_reads_what_a_probe_found_and_what_it_means() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let mut command = blit(&["diagnostics", "probe"]);
    command.arg(area.path());
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let table = String::from_utf8(finished.stdout).unwrap();
    let line = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {table}"))
    };
    assert!(line("file system").contains("ext4"), "{table}");
    assert!(line("FICLONE").contains("no: "), "{table}");
    assert!(line("FICLONE").contains("copies content"), "{table}");
    assert!(line("chown").trim_end().ends_with("yes"), "{table}");
}

#[test]
fn a_directory_that_is_missing_is_wrong_usage() {
    for command in [&["diagnostics", "probe"][..], &["profile"]] {
        let finished = run(blit(&[command, &["/no/such/directory"]].concat())).unwrap();
        finished.expect_code(2);
        let message = finished.stderr();
        assert!(message.contains("/no/such/directory"), "{message}");
        assert!(message.contains("name a directory"), "{message}");
    }
}

#[test]
fn a_measurement_is_remembered_and_leaves_nothing_else() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let directory = area.join("measured");
    fs::create_dir(&directory).unwrap();
    let home = tempfile::tempdir().unwrap();
    let here = |arguments: &[&str]| {
        let mut command = blit(arguments);
        command
            .env("XDG_CONFIG_HOME", home.path())
            .env_remove("BLIT_DISABLE_PERF_HISTORY");
        command
    };
    let mut command = here(&["profile", "--json"]);
    command.arg(&directory);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let measured: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(measured["fileSystem"], "ext4");
    for figure in ["smallFilesPerSecond", "largeBytesPerSecond", "fsyncSeconds"] {
        assert!(measured[figure].as_f64().unwrap() > 0.0, "{measured}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    let finished = run(here(&["diagnostics", "perf"])).unwrap();
    let table = String::from_utf8(finished.stdout).unwrap();
    assert!(table.contains("Measured by `blit profile`"), "{table}");
}

#[test]
fn a_measurement_without_room_says_how_much_it_needs() {
    let _shared = machine::shared();
    let area = Area::of_size(FileSystem::Ext4, 64 << 20).unwrap();
    let mut command = blit(&["profile"]);
    command.arg(area.path());
    let finished = run(command).unwrap();
    finished.expect_code(20);
    assert!(
        finished.stderr().contains("needs 19"),
        "{}",
        finished.stderr()
    );
}

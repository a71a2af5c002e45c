//! The unit that packages install: its command is one that the program takes, and its sandbox leaves nothing out that
//! the daemon needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use blit_e2e::process::run;

use crate::blit::{PROGRAM, blit};

const UNIT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../packaging/systemd/blit.service"
);

/// How much of the system the daemon may reach, in tenths, as systemd 252 counts it: 2.5 of 10. What is left is what it is for:
/// the network, root with some rights, system calls that change owners.
const EXPOSURE: u32 = 26;

/// Returns the settings of each section.
fn parse(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name.to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("no setting: {line}"));
        assert_eq!(
            key,
            key.trim(),
            "systemd takes no blanks around a key: {line}"
        );
        let settings = sections.entry(section.clone()).or_default();
        let before = settings.insert(key.to_owned(), value.to_owned());
        assert_eq!(before, None, "{key} is set twice");
    }
    sections
}

#[test]
fn the_unit_starts_a_daemon_in_a_sandbox() {
    let unit = parse(&fs::read_to_string(UNIT).unwrap());
    assert_eq!(
        unit.keys().collect::<Vec<_>>(),
        ["Install", "Service", "Unit"]
    );
    let service = &unit["Service"];
    let words: Vec<_> = service["ExecStart"].split_whitespace().collect();
    assert_eq!(words[..2], ["/usr/bin/blit", "serve"]);
    // The program takes every option; only the directory is not there.
    let missing = tempfile::tempdir().unwrap();
    let args: Vec<_> = words[1..]
        .iter()
        .map(|word| match *word {
            "/srv/blit" => missing.path().join("missing").display().to_string(),
            word if word.starts_with("/var") => {
                missing.path().join("identity").display().to_string()
            }
            word => word.to_owned(),
        })
        .collect();
    let mut command = blit(&args.iter().map(String::as_str).collect::<Vec<_>>());
    command.args(["--listen", "127.0.0.1:0", "--data-port", "0"]);
    let refused = run(command).unwrap();
    refused.expect_code(2);
    assert!(
        refused.stderr().contains("does not exist"),
        "{}",
        refused.stderr()
    );
    let root = words[words.iter().position(|word| *word == "--root").unwrap() + 1];
    let identity = words[words.iter().position(|word| *word == "--identity").unwrap() + 1];
    assert_eq!(
        service["ReadWritePaths"], root,
        "the rest of the system is read-only"
    );
    let state = format!("/var/lib/{}/", service["StateDirectory"]);
    assert!(
        identity.starts_with(&state),
        "the identity is where the daemon may write"
    );
    assert_eq!(service["StateDirectoryMode"], "0700");
    for (setting, value) in [
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("PrivateDevices", "yes"),
        ("ProtectHome", "yes"),
        ("RestrictNamespaces", "yes"),
        ("SystemCallArchitectures", "native"),
    ] {
        assert_eq!(service[setting], value, "{setting}");
    }
    let rights: Vec<_> = service["CapabilityBoundingSet"]
        .split_whitespace()
        .collect();
    for needed in ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"] {
        assert!(
            rights.contains(&needed),
            "without {needed} owners and modes cannot be kept"
        );
    }
    for never in [
        "CAP_SYS_ADMIN",
        "CAP_MKNOD",
        "CAP_SYS_PTRACE",
        "CAP_NET_ADMIN",
    ] {
        assert!(!rights.contains(&never), "{never} is not needed");
    }
}

/// Writes the unit with the program under test in the place of the installed one, as systemd looks for what a unit starts.
fn with_the_program(text: &str, folder: &Path) -> String {
    let unit = folder.join("blit.service");
    let installed = "ExecStart=/usr/bin/blit ";
    assert_eq!(text.matches(installed).count(), 1, "{text}");
    let started = format!("ExecStart={PROGRAM} ");
    fs::write(&unit, text.replace(installed, &started)).unwrap();
    unit.display().to_string()
}

/// Has systemd verify a unit; of those that it depends on, and which this machine may not have, it says nothing. What the
/// manual is called is looked at elsewhere.
fn verify(unit: &str) -> Command {
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no", unit]);
    command
}

#[test]
fn systemd_has_nothing_against_the_unit() {
    let (work, text) = (
        tempfile::tempdir().unwrap(),
        fs::read_to_string(UNIT).unwrap(),
    );
    let unit = with_the_program(&text, work.path());
    let verified = run(verify(&unit)).unwrap();
    verified.expect_code(0);
    assert_eq!(verified.stderr(), "");
    // It looks: a setting that is misspelt would protect nothing, and the daemon would start all the same.
    let misspelt = text.replace("ProtectHome=", "ProtectHomes=");
    assert_ne!(misspelt, text);
    let unit = with_the_program(&misspelt, work.path());
    let refused = run(verify(&unit)).unwrap();
    assert!(
        refused.stderr().contains("ProtectHomes"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn the_unit_names_a_manual_that_there_is() {
    let unit = parse(&fs::read_to_string(UNIT).unwrap());
    let named = unit["Unit"]["Documentation"].strip_prefix("man:").unwrap();
    let page = named.strip_suffix("(1)").unwrap();
    let work = tempfile::tempdir().unwrap();
    let mut command = blit(&["man"]);
    command.arg(work.path());
    run(command).unwrap().expect_code(0);
    assert!(work.path().join(format!("{page}.1")).exists(), "{page}");
}

#[test]
fn the_daemon_is_exposed_to_little() {
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager"]);
    command.arg(format!("--threshold={EXPOSURE}")).arg(UNIT);
    let judged = run(command).unwrap();
    let table = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(table.contains("Overall exposure level"), "{table}");
    assert_eq!(judged.code, Some(0), "{table}");
}

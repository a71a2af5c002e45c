//! The unit that packages install: its command is one that the program takes, and its sandbox leaves nothing out that
//! the daemon needs.

use std::collections::BTreeMap;
use std::fs;

use blit_e2e::process::run;

use crate::blit::blit;

const UNIT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../packaging/systemd/blit.service"
);

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

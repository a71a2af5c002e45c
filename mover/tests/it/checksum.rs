//! `--checksum` and `compare: Checksum`: what size and time hide is found and repaired, and nothing else is
//! touched.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use blit_e2e::area::FileSystem;
use blit_e2e::oracle;
use blit_e2e::process::run;
use blit_e2e::snapshot::Snapshot;
use serde_json::Value;

use crate::blit::{Mirror, Way, blit, manifest, spec, summary, volume};
use crate::local_mirror::Setting;
use crate::machine;

/// Returns the command that mirrors by content.
pub(crate) fn command(mirror: &Mirror<'_>) -> Command {
    match mirror.way {
        Way::Local => {
            let mut command = mirror.command();
            command.arg("--checksum");
            command
        }
        Way::Run => {
            let more = "compare: Checksum\n  deletion: {maxDelete: \"100%\"}";
            let manifest = manifest(mirror.work, &spec("Mirror", more));
            let mut command = blit(&["run", "--json", "-f"]);
            command.arg(manifest);
            command.arg("--volume").arg(volume("source", mirror.source));
            command
                .arg("--volume")
                .arg(volume("destination", mirror.destination));
            command
        }
    }
}

#[track_caller]
fn complete(mirror: &Mirror<'_>) -> Value {
    let finished = run(command(mirror)).unwrap();
    finished.expect_code(0);
    oracle::assert_mirrored(mirror.source, mirror.destination);
    summary(&finished)
}

/// Changes a byte of a file, and nothing that a comparison of sizes and times could see.
pub(crate) fn alter_a_byte(path: &Path, at: u64) {
    let mtime = path.metadata().unwrap().modified().unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(mtime).unwrap();
}

fn repairs(way: Way) {
    let setting = Setting::new(FileSystem::Ext4);
    let mirror = setting.mirror(way);
    let large = vec![7; 5 << 20];
    for name in ["large", "same", "other-time"] {
        std::fs::write(setting.source.join(name), &large).unwrap();
    }
    std::fs::write(setting.source.join("little"), "abc").unwrap();
    complete(&mirror);

    let there = |name: &str| setting.destination.join(name);
    alter_a_byte(&there("large"), (5 << 20) - 1);
    alter_a_byte(&there("little"), 1);
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let file = File::options().write(true).open(there("other-time"));
    file.unwrap().set_modified(yesterday).unwrap();
    let inode = || there("other-time").metadata().unwrap().ino();
    let before = inode();

    let summary = complete(&mirror);
    assert_eq!(summary["filesCopied"], 2, "{summary}");
    assert_eq!(summary["bytesCopied"], (5 << 20) + 3, "{summary}");
    assert_eq!(summary["metadataRepaired"], 1, "{summary}");
    assert_eq!(inode(), before);

    let snapshot = Snapshot::of(&setting.destination).unwrap();
    let again = complete(&mirror);
    for figure in ["filesCopied", "filesDeleted", "metadataRepaired"] {
        assert_eq!(again[figure], 0, "{figure} of {again}");
    }
    snapshot.assert_untouched(&Snapshot::of(&setting.destination).unwrap());
}

#[test]
fn an_altered_byte_is_found_and_repaired_and_another_time_alone_needs_no_data() {
    let _shared = machine::shared();
    repairs(Way::Local);
}

#[test]
fn between_movers_hashes_find_the_same_and_content_that_is_equal_is_not_sent() {
    let _shared = machine::shared();
    repairs(Way::Run);
    let setting = Setting::new(FileSystem::Ext4);
    let mirror = setting.mirror(Way::Run);
    let first = complete(&mirror);
    assert_ne!(first["bytesSent"], 0, "{first}");
    let again = complete(&mirror);
    assert_eq!(again["bytesSent"], 0, "{again}");
    assert_eq!(again["filesUnchanged"], again["filesTotal"], "{again}");
}

/// Runs that are interrupted, and what only the content tells, end in the same tree.
fn survives_interruptions(way: Way) {
    let setting = Setting::new(FileSystem::Ext4);
    let mirror = setting.mirror(way);
    complete(&mirror);
    for number in 0..20 {
        let name = setting.source.join(format!("large-{number}"));
        std::fs::write(&name, vec![number; 2 << 20]).unwrap();
    }
    for round in 1..=3 {
        let mut child = command(&mirror)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 60));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    complete(&mirror);
    for number in [3, 17] {
        alter_a_byte(
            &setting.destination.join(format!("large-{number}")),
            1 << 20,
        );
    }
    assert_eq!(complete(&mirror)["filesCopied"], 2);
    assert_eq!(complete(&mirror)["filesCopied"], 0);
}

#[test]
fn interrupted_and_repeated_runs_converge() {
    let _shared = machine::shared();
    survives_interruptions(Way::Local);
}

#[test]
fn interrupted_and_repeated_runs_of_movers_converge() {
    let _shared = machine::shared();
    survives_interruptions(Way::Run);
}

#[test]
fn a_single_file_is_compared_by_content() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    let (from, to) = (setting.area.join("from"), setting.area.join("to"));
    std::fs::write(&from, "content").unwrap();
    let copy = |code| {
        let mut command = blit(&["copy", "-c", "--json"]);
        command.arg(&from).arg(&to);
        let finished = run(command).unwrap();
        finished.expect_code(code);
        summary(&finished)
    };
    assert_eq!(copy(0)["filesCopied"], 1);
    assert_eq!(copy(0)["filesCopied"], 0);
    alter_a_byte(&to, 2);
    assert_eq!(copy(0)["filesCopied"], 1);
    assert_eq!(std::fs::read(&to).unwrap(), b"content");
}

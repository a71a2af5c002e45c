//! Without special files nothing is written that gives rights to those who open or run a file.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

use blit_engine::run::{Operation, Options, Summary};

use crate::harness::Pair;

fn plain(pair: &Pair) -> Summary {
    pair.run(Options {
        operation: Operation::Mirror,
        without_special_files: true,
        ..Options::default()
    })
}

fn make(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?} (needs root)");
}

/// A source with everything that is left out, and what is not.
fn pair() -> Pair {
    let pair = Pair::new();
    let path = |name: &str| pair.source.join(name).to_str().unwrap().to_owned();
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("plain", 0o644)] {
        pair.write(name, name);
        set_mode(&pair, name, mode);
    }
    pair.write("dir/capable", "x");
    set_mode(&pair, "dir", 0o2775);
    make("setcap", &["cap_net_raw+ep", &path("dir/capable")]);
    make("mknod", &[&path("null"), "c", "1", "3"]);
    make("mkfifo", &[&path("fifo")]);
    std::fs::hard_link(path("null"), path("null-too")).unwrap();
    symlink("plain", path("link")).unwrap();
    pair
}

fn set_mode(pair: &Pair, name: &str, mode: u32) {
    let path = pair.source.join(name);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_nothing_special(pair: &Pair) {
    for name in ["setuid", "setgid", "dir", "dir/capable", "plain"] {
        let meta = std::fs::metadata(pair.destination.join(name)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o6000, 0, "{name}");
    }
    let capable = pair.destination.join("dir/capable");
    let output = Command::new("getcap").arg(&capable).output().unwrap();
    assert_eq!(output.stdout, b"", "a capability was written");
    assert!(!pair.destination.join("null").exists());
    assert!(!pair.destination.join("null-too").exists());
    let fifo = std::fs::metadata(pair.destination.join("fifo")).unwrap();
    assert!(fifo.file_type().is_fifo(), "a FIFO gives no rights");
    assert!(pair.destination.join("link").is_symlink());
}

fn not_kept(summary: &Summary) -> Vec<(&'static str, u64)> {
    let kinds = summary.not_kept.iter();
    kinds.map(|(kind, found)| (*kind, found.count)).collect()
}

#[test]
fn devices_set_id_bits_and_capabilities_are_left_out_and_counted() {
    let pair = pair();
    let summary = plain(&pair);
    assert!(summary.is_complete(), "{summary:?}");
    assert_nothing_special(&pair);
    let expected = [("capability", 1), ("devices", 2), ("setid", 3)];
    assert_eq!(not_kept(&summary), expected);
    let again = plain(&pair);
    assert!(again.is_complete(), "{again:?}");
    assert_eq!(not_kept(&again), expected, "it is missing still");
    assert_eq!(again.progress.files_copied, 0);
    assert_eq!(again.metadata_repaired, 0);
    assert_eq!(again.progress.files_deleted, 0);
}

#[test]
fn what_was_there_before_loses_what_may_not_be_written() {
    let pair = pair();
    assert!(pair.mirror().is_complete());
    pair.assert_mirrored();
    for name in ["null", "null-too"] {
        std::fs::remove_file(pair.destination.join(name)).unwrap();
    }
    let summary = plain(&pair);
    assert!(summary.is_complete(), "{summary:?}");
    assert_nothing_special(&pair);
    assert_eq!(summary.progress.files_copied, 0, "content was right");
    let again = plain(&pair);
    assert_eq!(
        (again.progress.files_copied, again.metadata_repaired),
        (0, 0)
    );
}

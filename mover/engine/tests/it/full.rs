//! A destination without space: nothing half-written stays, and a run that frees space can begin.

use std::path::Path;
use std::process::Command;

use blit_engine::run::{Fatal, MaxDelete, Operation, Options};

use crate::harness::Pair;

/// A file system of 4 MiB, for as long as the value lives.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn on(path: &'a Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "blit-test"])
            .arg(path)
            .status();
        assert!(
            mounted.unwrap().success(),
            "this test mounts a tmpfs: run it as root"
        );
        Self(path)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_destination_keeps_whole_files_only_and_can_be_mirrored_smaller() {
    let pair = Pair::new();
    let _small = Small::on(&pair.destination);
    for d in 0..10 {
        for f in 0..10 {
            pair.write(&format!("d{d}/f{f}"), &"x".repeat(100_000));
        }
    }
    let full = pair.copy();
    assert!(
        matches!(full.fatal, Some(Fatal::DestinationFull(_))),
        "{full:?}"
    );
    assert!(full.progress.files_failed > 0 && full.failed.is_empty());
    for d in 0..10 {
        for file in std::fs::read_dir(pair.destination.join(format!("d{d}")))
            .into_iter()
            .flatten()
        {
            assert_eq!(file.unwrap().metadata().unwrap().len(), 100_000);
        }
    }
    for d in 1..10 {
        std::fs::remove_dir_all(pair.source.join(format!("d{d}"))).unwrap();
    }
    let options = Options {
        operation: Operation::Mirror,
        ..Options::default()
    };
    let mirrored = pair.run(Options {
        max_delete: Some(MaxDelete::Percent(100)),
        ..options
    });
    assert!(mirrored.is_complete(), "{mirrored:?}");
    pair.assert_mirrored();
}

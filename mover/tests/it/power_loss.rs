//! The power goes in the middle of a run: names, sizes and times can come back without their content. The
//! next run trusts none of them.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::{Running, run, start};
use blit_e2e::tree::{Content, Holes};
use nix::sys::signal::Signal;

use crate::blit::{Mirror, Way};
use crate::machine;

/// Files of the source, in directories of fifty.
const FILES: u64 = 1500;

/// What of a run is on the disk when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// What the kernel wrote by itself in this short time: hardly anything.
    Little,
    /// The journal: names, sizes and times, mostly without content. The state of the run is empty too.
    Journal,
    /// The same, and what there was early in the run: its state is whole.
    JournalAndState,
}

#[test]
fn after_a_loss_of_power_the_next_run_brings_equal_bytes() {
    let _shared = machine::shared();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        for (way, written) in [
            (Way::Local, Written::Little),
            (Way::Local, Written::Journal),
            (Way::Local, Written::JournalAndState),
            (Way::Run, Written::JournalAndState),
        ] {
            println!("{file_system:?}, {written:?}, {way:?}");
            lose_power_in(way, file_system, written);
        }
    }
}

#[test]
fn after_a_machine_went_down_with_a_btrfs_the_next_run_brings_equal_bytes() {
    let _shared = machine::shared();
    for written in [Written::Little, Written::Journal, Written::JournalAndState] {
        println!("{written:?}");
        lose_machine_in(written);
    }
}

fn lose_machine_in(written: Written) {
    let here = Area::on(FileSystem::Ext4).unwrap();
    let mut there = Area::on(FileSystem::Btrfs).unwrap();
    let (source, destination) = (here.join("source"), there.join("destination"));
    fill(&source);
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: here.path(),
    };
    let running = start(mirror.command()).unwrap();
    begin(&running, &destination, written);
    running.signal(Signal::SIGKILL);
    let ended = running.finish().unwrap();
    assert!(ended.signal.is_some(), "it ended: {}", ended.stdout());
    there.lose_machine(written != Written::Little).unwrap();
    there.restore_power().unwrap();
    println!("{} directories came back", finished(&destination));

    let after = run(in_another_boot(&mirror.command(), here.path())).unwrap();
    after.expect_code(0);
    oracle::assert_mirrored(&source, &destination);
}

/// Returns the same command for a kernel that was started since.
fn in_another_boot(command: &Command, work: &Path) -> Command {
    let boot_id = work.join("boot_id");
    fs::write(&boot_id, "6b7a4f0e-5d43-4c1e-9d55-0f2f3f6f1c11\n").unwrap();
    let mut other = Command::new("unshare");
    other.args(["--mount", "sh", "-ec"]);
    other.arg("mount --bind \"$0\" /proc/sys/kernel/random/boot_id; exec \"$@\"");
    other
        .arg(boot_id)
        .arg(command.get_program())
        .args(command.get_args());
    other
}

/// Waits until a run is half done, and what of it shall be written is.
fn begin(running: &Running, destination: &Path, written: Written) {
    if written == Written::JournalAndState {
        let state = destination.join(".blit/state");
        let met = running.wait_until("write its state", || state.exists());
        assert!(met.unwrap(), "the run ended before it had a state");
        let state = File::open(state).unwrap();
        state.sync_all().unwrap();
    }
    let half_there = || finished(destination) > FILES / 200;
    let met = running.wait_until("finish some directories", half_there);
    assert!(met.unwrap(), "the run ended before the power went");
}

fn lose_power_in(way: Way, file_system: FileSystem, written: Written) {
    let here = Area::on(FileSystem::Ext4).unwrap();
    let mut there = Area::on(file_system).unwrap();
    let (source, destination) = (here.join("source"), there.join("destination"));
    fill(&source);
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: here.path(),
    };
    let running = start(mirror.command()).unwrap();
    begin(&running, &destination, written);
    there.lose_power(written != Written::Little).unwrap();
    let ended = running.finish().unwrap();
    assert_ne!(ended.code, Some(0), "{}", ended.stdout());
    assert!(ended.signal.is_none() && !ended.stderr().contains("panicked"));
    there.restore_power().unwrap();

    mirror.complete();
    oracle::assert_mirrored(&source, &destination);
}

/// Every second file has a hole at its end: its length is written down before its content.
fn fill(source: &Path) {
    for n in 0..FILES {
        let directory = source.join(format!("d{}", n / 50));
        fs::create_dir_all(&directory).unwrap();
        let content = Content {
            size: 20_000 + n,
            holes: if n % 2 == 0 {
                Holes::None
            } else {
                Holes::Trailing
            },
            seed: n,
        };
        let file = File::create_new(directory.join(format!("f{n}"))).unwrap();
        content.write(&file).unwrap();
    }
}

/// Returns how many directories have their final names.
fn finished(destination: &Path) -> u64 {
    let entries = fs::read_dir(destination).into_iter().flatten().flatten();
    let named = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    named.count() as u64
}

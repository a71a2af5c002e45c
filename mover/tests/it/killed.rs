//! `kill -9` at fifty moments: whatever the killed runs left, one that is left alone makes an exact mirror.
//!
//! The tree holds one of everything, and changes between the runs, so that each of them has something to
//! make, replace, repair and delete when it dies, and adopts what the one before had begun.

use std::time::{Duration, Instant};

use blit_e2e::area::FileSystem;
use blit_e2e::mutate::mutate;
use blit_e2e::oracle;
use blit_e2e::process::start;
use blit_e2e::seed::{self, Random};
use nix::sys::signal::Signal;

use crate::blit::Way;
use crate::local_mirror::Setting;
use crate::machine;

/// Runs that are killed before they end.
const KILLED: u64 = 50;

/// Runs that are over before the signal comes, at most: they kill nobody, and so they do not count.
const OVER: u64 = 150;

/// Changes to the source before each of them.
const CHANGES: usize = 100;

/// Killed runs, one after another, before one is left alone.
const IN_A_ROW: u64 = 2;

#[test]
fn fifty_runs_killed_at_random_moments_are_finished_by_the_next() {
    let _shared = machine::shared();
    let seed = seed::for_test();
    println!("replay with {}={seed}", seed::VARIABLE);
    // Half of them each, beside each other: killed processes wait for the disk more than they work.
    std::thread::scope(|scope| {
        for (number, file_system) in [FileSystem::Ext4, FileSystem::Xfs].into_iter().enumerate() {
            scope.spawn(move || kill_on(file_system, seed.wrapping_add(number as u64)));
        }
    });
}

fn kill_on(file_system: FileSystem, seed: u64) {
    let setting = Setting::new(file_system);
    let mirror = setting.mirror(Way::Local);
    let mut random = Random::new(seed);
    let timed = || {
        let began = Instant::now();
        mirror.complete();
        began.elapsed()
    };
    let mut whole = timed();
    let (mut killed, mut over) = (0, 0);
    while killed < KILLED / 2 {
        // Now and then from the beginning: then there is all of the tree to make.
        if random.below(2) == 0 {
            std::fs::remove_dir_all(&setting.destination).unwrap();
        }
        for _ in 0..IN_A_ROW {
            mutate(&setting.source, CHANGES, random.bits()).unwrap();
            let running = start(mirror.command()).unwrap();
            let moment = whole * random.below(1000) as u32 / 1000;
            running.ended_within(moment);
            running.signal(Signal::SIGKILL);
            let ended = running.finish_within(Duration::from_secs(60)).unwrap();
            match ended.signal {
                Some(_) => killed += 1,
                None => over += 1,
            }
            assert!(over < OVER, "{over} runs were over, and {killed} killed");
        }
        whole = timed();
        oracle::assert_mirrored(&setting.source, &setting.destination);
    }
    println!("{file_system:?}: {killed} runs were killed, {over} were over before");
}

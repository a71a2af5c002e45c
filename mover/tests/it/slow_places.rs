//! A file system that answers late, as one behind a network does, is given more workers; and one processor a second one where the
//! first waits.

use std::fs;
use std::time::Duration;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Call, Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{self, run, start};
use serde_json::Value;

use crate::blit::{blit, summary};
use crate::machine;

/// How long each call takes: a file takes several.
const LATENCY: Duration = Duration::from_millis(4);
/// How many directories there are, and how many small files in each.
const TREE: (usize, usize) = (30, 40);

/// Mounts a place with many small files, which answers late from now on.
fn late() -> Faulty {
    let nature = Nature {
        at_once: 64,
        ..Nature::default()
    };
    let place = Faulty::mount(nature).unwrap();
    for directory in 0..TREE.0 {
        let directory = place.join(&format!("{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..TREE.1 {
            fs::write(directory.join(format!("{file}")), "content").unwrap();
        }
    }
    place.delay(LATENCY);
    place
}

#[test]
fn a_source_that_answers_late_is_read_by_more_workers_and_the_next_run_begins_with_them() {
    let _alone = machine::alone();
    // On many processors many workers are there from the beginning.
    process::use_processors(2);
    let area = Area::on(FileSystem::Ext4).unwrap();
    let source = late();
    let copied = |name: &str, more: &[&str]| {
        let mut command = blit(&["copy", "--json"]);
        command
            .args(more)
            .arg(source.join("."))
            .arg(area.join(name));
        command.env("XDG_CONFIG_HOME", area.join("config"));
        command.env_remove("BLIT_DISABLE_PERF_HISTORY");
        let finished = run(command).unwrap();
        finished.expect_code(0);
        summary(&finished)
    };
    let took = |told: &Value| told["durationSeconds"].as_f64().unwrap();
    let few = copied("few", &["--workers", "2"]);
    let first = copied("first", &[]);
    let second = copied("second", &[]);
    println!("two workers {few}\nfirst {first}\nsecond {second}");
    assert!(few["workers"].is_null(), "they were given: {few}");
    assert!(first["workers"].as_u64() >= Some(4), "{first}");
    assert!(took(&first) < took(&few) / 1.5);
    assert!(took(&second) < took(&first) / 1.3);
    source.delay(Duration::ZERO);
    oracle::assert_mirrored(source.path(), &area.join("second"));
}

/// How many names of one directory a late listing is made of.
const NAMES: usize = 3000;

#[test]
fn the_first_byte_of_one_large_directory_does_not_wait_for_a_thousand_late_looks() {
    let _alone = machine::alone();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let place = Faulty::mount(Nature {
        at_once: 64,
        ..Nature::default()
    })
    .unwrap();
    let (source, destination) = (place.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    for name in 0..NAMES {
        fs::write(source.join(format!("{name:05}")), name.to_string()).unwrap();
    }
    place.delay(LATENCY);
    let mut command = blit(&["mirror", "--json"]);
    command.arg(&source).arg(&destination);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    let told = summary(&finished);
    println!("{told}");
    assert!(told["secondsToFirstByte"].as_f64().unwrap() < 1.5, "{told}");
    assert_eq!(told["filesCopied"], NAMES, "{told}");
    place.delay(Duration::ZERO);
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn a_listing_that_is_handed_on_at_each_name_forgets_none_where_the_dots_come_last() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let place = Faulty::mount(Nature {
        dots_last: true,
        at_once: 64,
        ..Nature::default()
    })
    .unwrap();
    let (source, destination) = (place.join("source"), area.join("destination"));
    fs::create_dir_all(source.join("below")).unwrap();
    for name in ["a", "b", "c", "below/d", "below/e"] {
        fs::write(source.join(name), name).unwrap();
    }
    // A look is two calls, which are longer than a heartbeat.
    place.delay(Duration::from_millis(500));
    let mut command = blit(&["mirror", "--json"]);
    command.arg(&source).arg(&destination);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    place.delay(Duration::ZERO);
    assert_eq!(summary(&finished)["filesCopied"], 5);
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn on_one_processor_a_file_that_is_not_answered_holds_up_no_other() {
    let _shared = machine::shared();
    process::use_processors(1);
    let area = Area::on(FileSystem::Ext4).unwrap();
    let place = Faulty::mount(Nature {
        at_once: 4,
        ..Nature::default()
    })
    .unwrap();
    // Whichever end a run begins with.
    for (directory, name) in [("first", "slow"), ("middle", "quick"), ("last", "slow")] {
        fs::create_dir(place.join(directory)).unwrap();
        fs::write(place.join(directory).join(name), "content").unwrap();
    }
    place.hang(Call::Read, "slow");
    let mut command = blit(&["copy"]);
    let destination = area.join("destination");
    command.arg(place.join(".")).arg(&destination);
    let running = start(command).unwrap();
    let copied = || destination.join("middle/quick").exists() && place.hanging() == 2;
    let went_on = running.wait_until("copy the others", copied).unwrap();
    assert!(went_on, "it ended");
    place.release();
    running.finish().unwrap().expect_code(0);
    oracle::assert_mirrored(place.path(), &destination);
}

//! A file system that answers late, as one behind a network does, is given more workers.

use std::fs;
use std::time::Duration;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::faulty::{Faulty, Nature};
use blit_e2e::oracle;
use blit_e2e::process::{self, run};
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
    process::use_two_processors();
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

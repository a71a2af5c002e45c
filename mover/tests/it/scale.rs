//! A tree of 300,000 files: the first byte at once, and memory that does not grow with the tree.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::{forget_own_peak, own_memory, run, start};

use crate::blit::{Mirror, Way, summary};
use crate::machine;

/// Directories, and files in each.
const DIRECTORIES: usize = 300;
const FILES: usize = 1000;

/// Longest time to the first byte, in seconds.
const FIRST_BYTE: f64 = 1.0;

/// Largest memory of a process, in bytes.
const MEMORY: u64 = 100 << 20;

/// Small files on as many threads as the machine has.
fn make_tree(root: &Path) {
    let threads = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for directory in (thread..DIRECTORIES).step_by(threads) {
                    let directory = root.join(format!("directory-{directory}"));
                    fs::create_dir_all(&directory).unwrap();
                    for file in 0..FILES {
                        fs::write(directory.join(format!("file-{file}")), b"content").unwrap();
                    }
                }
            });
        }
    });
}

/// Whether a file with content is there, under whatever name.
fn has_content(destination: &Path) -> bool {
    let entries = |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten();
    // The state of the run is not content.
    entries(destination)
        .filter(|entry| entry.file_name() != ".blit")
        .any(|directory| {
            entries(&directory.path())
                .any(|file| file.metadata().is_ok_and(|found| found.len() == 7))
        })
}

/// Set for the process that measures.
const MEASURING: &str = "BLIT_TEST_MEASURING";

#[test]
fn three_hundred_thousand_files_start_within_a_second_and_fit_in_100_mib() {
    let _alone = machine::alone();
    if std::env::var_os(MEASURING).is_some() {
        return measure();
    }
    // In a process of its own: the tests before have left 100 MiB in the allocator of this one, and the kernel counts what
    // a process holds to the peak of those it starts.
    let name = std::thread::current().name().unwrap().to_owned();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args(["--exact", &name, "--nocapture"])
        .env(MEASURING, "1");
    let measured = run(again).unwrap();
    measured.expect_code(0);
    assert!(
        measured.stdout().contains("1 passed"),
        "{}",
        measured.stdout()
    );
}

fn measure() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let source = area.join("source");
    make_tree(&source);
    for way in [Way::Local, Way::Run] {
        let destination = area.join(&format!("{way:?}"));
        let mirror = Mirror {
            way,
            source: &source,
            destination: &destination,
            work: area.path(),
        };
        // What came before is on the disk first: its writing is not part of this run.
        rustix::fs::syncfs(fs::File::open(area.path()).unwrap()).unwrap();
        // Otherwise the kernel would count what this process held.
        forget_own_peak().unwrap();
        let own = own_memory().unwrap();
        assert!(
            own < MEMORY,
            "the test itself holds {own} bytes, so it cannot measure"
        );
        let began = Instant::now();
        let running = start(mirror.command()).unwrap();
        running
            .wait_until("write a byte", || has_content(&destination))
            .unwrap();
        let seen = began.elapsed().as_secs_f64();
        // Other work on the machine counts too, so a failure says how busy it was.
        let load = fs::read_to_string("/proc/loadavg").unwrap();
        assert!(
            seen < FIRST_BYTE,
            "{way:?}: nothing was seen for {seen} s, load {load}"
        );
        let finished = running.finish().unwrap();
        finished.expect_code(0);
        let summary = summary(&finished);
        assert_eq!(summary["filesCopied"], DIRECTORIES * FILES, "{way:?}");
        let first = summary["secondsToFirstByte"].as_f64().unwrap();
        assert!(
            first < FIRST_BYTE,
            "{way:?}: the first byte after {first} s"
        );
        let peak = summary["peakMemory"].as_u64().unwrap();
        assert!(peak < MEMORY, "{way:?}: the summary says {peak} bytes");
        // The largest of the program and the movers it waited for.
        let peak = finished.peak_memory;
        assert!(peak < MEMORY, "{way:?}: the kernel says {peak} bytes");
        println!("{way:?}: first byte after {first} s, seen after {seen} s, {peak} bytes at most");
    }
}

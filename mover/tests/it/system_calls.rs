//! What a file costs: calls that the paths of many small files must not make for each of them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::trace::{Traced, run_traced};

use crate::blit::{Mirror, Way};
use crate::machine;

/// Files of a tree.
const FILES: usize = 400;
/// Calls of a whole run that have nothing to do with the number of files.
const OTHERS: usize = 100;

fn many_small_files(source: &Path) {
    for number in 0..FILES {
        let directory = source.join(format!("{}", number / 100));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{number}")), [1; 5000]).unwrap();
    }
}

fn traced_mirror(area: &Area, calls: &str) -> Traced {
    let (source, destination) = (area.join("source"), area.join("destination"));
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let traced = run_traced(&mirror.command(), calls).unwrap();
    traced.finished.expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    traced
}

#[test]
fn a_file_that_is_right_is_looked_at_once_on_each_side() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    many_small_files(&area.join("source"));
    traced_mirror(&area, "statx");
    let looks = traced_mirror(&area, "statx").count("statx");
    assert!(looks >= 2 * FILES, "only {looks} calls were traced");
    assert!(
        looks < 2 * FILES + OTHERS,
        "{looks} calls for {FILES} files"
    );
}

#[test]
fn a_small_file_that_is_full_is_neither_searched_for_holes_nor_gives_advice() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    many_small_files(&area.join("source"));
    let traced = traced_mirror(&area, "openat,lseek,fadvise64");
    assert!(
        traced.count("openat") >= 2 * FILES,
        "the files were not traced"
    );
    let (searches, advice) = (traced.count("lseek"), traced.count("fadvise64"));
    assert!(
        searches + advice < OTHERS,
        "{searches} searches, {advice} times advice"
    );
}

#[test]
fn a_new_file_in_a_directory_that_can_be_seen_gets_one_name_and_is_not_renamed() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let source = area.join("source");
    std::fs::create_dir(&source).unwrap();
    // With a mode and an owner that a file does not have by itself.
    for number in 0..FILES {
        let file = source.join(number.to_string());
        std::fs::write(&file, number.to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o2751)).unwrap();
        std::os::unix::fs::chown(&file, Some(number as u32), Some(7)).unwrap();
    }
    std::fs::create_dir(area.join("destination")).unwrap();
    let traced = traced_mirror(&area, "linkat,rename,renameat,renameat2");
    let renames = ["rename", "renameat", "renameat2"].map(|call| traced.count(call));
    assert!(traced.count("linkat") >= FILES, "the files were not traced");
    assert!(renames.iter().sum::<usize>() < OTHERS, "{renames:?}");
    // What is replaced had its name before, and keeps it until the new one is whole.
    for number in 0..FILES {
        std::fs::write(source.join(number.to_string()), [1; 77]).unwrap();
    }
    let traced = traced_mirror(&area, "linkat,rename,renameat,renameat2");
    assert!(traced.count("linkat") < OTHERS);
}

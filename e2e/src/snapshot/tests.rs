use std::fs;

use super::*;
use crate::area::Area;

#[test]
fn a_tree_that_nobody_touched_is_the_same() {
    let area = Area::plain().unwrap();
    fs::write(area.join("a"), "x").unwrap();
    let before = Snapshot::of(area.path()).unwrap();
    fs::read(area.join("a")).unwrap();
    before.assert_untouched(&Snapshot::of(area.path()).unwrap());
}

#[test]
fn a_file_that_came_and_went_shows_in_the_directory() {
    let area = Area::plain().unwrap();
    fs::create_dir(area.join("d")).unwrap();
    let before = Snapshot::of(area.path()).unwrap();
    // The clock of file times moves in ticks of up to 10 ms.
    let changed = || {
        fs::write(area.join("d/t"), "").unwrap();
        fs::remove_file(area.join("d/t")).unwrap();
        before.changes(&Snapshot::of(area.path()).unwrap())
    };
    let changes = std::iter::repeat_with(changed)
        .find(|changes| !changes.is_empty())
        .unwrap();
    assert!(changes[0].starts_with("d: "), "{changes:?}");
}

#[test]
fn a_rewrite_in_place_and_a_replacement_show() {
    let area = Area::plain().unwrap();
    fs::write(area.join("a"), "x").unwrap();
    fs::write(area.join("b"), "x").unwrap();
    let before = Snapshot::of(area.path()).unwrap();
    fs::write(area.join("a"), "longer").unwrap();
    fs::write(area.join("c"), "x").unwrap();
    fs::rename(area.join("c"), area.join("b")).unwrap();
    let changes = before.changes(&Snapshot::of(area.path()).unwrap());
    for path in ["a: ", "b: "] {
        assert!(
            changes.iter().any(|line| line.starts_with(path)),
            "{changes:?}"
        );
    }
}

use std::fs::{self, File};
use std::os::fd::AsFd;

use super::{Location, Overlap};

fn location(path: &std::path::Path) -> Location {
    Location::of(File::open(path).unwrap().as_fd()).unwrap()
}

#[test]
fn equal_and_nested_roots_are_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    fs::create_dir_all(dir.path().join("d")).unwrap();
    let at = |name: &str| location(&dir.path().join(name));
    assert_eq!(Location::overlap(&at("a"), &at("a")), Some(Overlap::Same));
    assert_eq!(
        Location::overlap(&at("a"), &at("a/b/c")),
        Some(Overlap::DestinationInside)
    );
    assert_eq!(
        Location::overlap(&at("a/b/c"), &at("a")),
        Some(Overlap::SourceInside)
    );
    assert_eq!(Location::overlap(&at("a"), &at("d")), None);
}

#[test]
fn a_symbolic_link_does_not_hide_where_a_root_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("a/b"), dir.path().join("link")).unwrap();
    let (source, link) = (
        location(&dir.path().join("a")),
        location(&dir.path().join("link")),
    );
    assert_eq!(
        Location::overlap(&source, &link),
        Some(Overlap::DestinationInside)
    );
}

#[test]
fn hosts_and_boots_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let here = location(dir.path());
    let elsewhere = Location {
        boot_id: "another".to_owned(),
        ..here.clone()
    };
    assert_eq!(Location::overlap(&here, &elsewhere), None);
    let nowhere = Location {
        boot_id: String::new(),
        ..here.clone()
    };
    assert_eq!(
        Location::overlap(&nowhere, &nowhere),
        None,
        "an unknown boot is no boot"
    );
}

#[test]
fn a_place_reads_back_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let here = location(dir.path());
    assert_eq!(Location::from_wire(here.to_wire()), here);
}

use blit_engine::entry::{DirId, Xattrs};
use blit_engine::tree::{LocalSource, ScanOptions};

use super::Retained;
use crate::wire::entry::tests::{directory, file};
use crate::wire::wants::Wanted;

fn wanted(dir: u64, part: u32, index: u32) -> Wanted {
    Wanted {
        id: 9,
        dir,
        part,
        index,
    }
}

fn retained() -> Retained {
    let retained = Retained::default();
    let pieces = vec![vec![directory(b"d", 1), file(b"a", 1)], vec![file(b"b", 2)]];
    retained.keep(DirId(0), 5, 7, pieces);
    retained
}

#[test]
fn listed_files_are_found_by_piece_and_position() {
    let retained = retained();
    let jobs = retained.find(&[wanted(0, 7, 1), wanted(0, 8, 0)]).unwrap();
    let names: Vec<&[u8]> = jobs.iter().map(|job| &*job.entry.name).collect();
    assert_eq!(names, [b"a", b"b"]);
    assert!(jobs.iter().all(|job| job.id == 9 && job.dir == DirId(0)));
}

#[test]
fn nothing_else_can_be_asked_for() {
    let retained = retained();
    for want in [
        wanted(0, 7, 0), // a directory
        wanted(0, 7, 2),
        wanted(0, 8, 1),
        wanted(0, 9, 0),
        wanted(0, 5, 1), // the local number of the part
        wanted(1, 7, 1),
    ] {
        assert!(retained.find(&[want]).is_err(), "{want:?}");
    }
}

#[test]
fn what_is_done_cannot_be_asked_for_any_more() {
    let root = tempfile::tempdir().unwrap();
    let source = LocalSource::open(root.path(), ScanOptions::default()).unwrap();
    let retained = retained();
    retained.done(&source, 0, 7, false).unwrap();
    assert!(retained.find(&[wanted(0, 7, 1)]).is_err());
    assert!(retained.find(&[wanted(0, 8, 0)]).is_ok());
    assert!(retained.done(&source, 0, 7, false).is_err(), "twice");
}

#[test]
fn a_part_is_done_when_all_its_pieces_are_and_kept_if_one_asks_for_it() {
    let retained = retained();
    let mut state = retained.0.lock().unwrap();
    assert_eq!(state.done(0, 8, true).unwrap(), None);
    assert_eq!(state.done(0, 7, false).unwrap(), Some((5, true)));
}

#[test]
fn attributes_of_listed_files_are_remembered() {
    let mut with = file(b"a", 1);
    with.xattrs = Some(Xattrs(vec![(b"user.x"[..].into(), b"y"[..].into())]));
    let retained = Retained::default();
    retained.keep(DirId(0), 0, 0, vec![vec![with, file(b"b", 1)]]);
    let jobs = retained.find(&[wanted(0, 0, 0), wanted(0, 0, 1)]).unwrap();
    // They tell whether the number of blocks can be trusted.
    assert_eq!(
        jobs[0].entry.xattrs.as_ref().map(|found| found.0.len()),
        Some(1)
    );
    assert_eq!(jobs[1].entry.xattrs, None);
}

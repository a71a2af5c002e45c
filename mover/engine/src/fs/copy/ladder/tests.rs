use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::super::Copier;
use super::*;

/// More than a pipe holds, and no multiple of a page.
const LENGTH: usize = 3_000_001;

/// A file with content in memory, and an empty one on the disk.
fn files() -> (File, File) {
    let from = tempfile::tempfile_in("/dev/shm").unwrap();
    from.write_all_at(&content(), 0).unwrap();
    (from, tempfile::tempfile().unwrap())
}

fn content() -> Vec<u8> {
    (0..LENGTH).map(|n| (n % 251) as u8).collect()
}

fn read(file: &File, offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, offset).unwrap();
    buffer
}

fn copy_by(ladder: &Ladder, way: Way, files: &(File, File), range: [u64; 2]) -> u64 {
    let mut counted = 0;
    let mut moved = |bytes| {
        counted += bytes;
        true
    };
    let (from, to) = (files.0.as_fd(), files.1.as_fd());
    let reached = ladder.copy_by(way, from, to, range[0], range[1], &mut moved);
    let reached = reached.unwrap();
    assert_eq!(counted, reached - range[0], "what was moved is counted");
    reached
}

#[test]
fn what_lies_on_two_file_systems_the_kernel_copies_by_sendfile_to_the_same_place() {
    let (ladder, files) = (Ladder::default(), files());
    let end = LENGTH as u64;
    assert_eq!(copy_by(&ladder, Way::Range, &files, [0, end]), 0);
    let begin = 4096;
    let reached = copy_by(&ladder, Way::Sendfile, &files, [begin, end]);
    assert_eq!(reached, end);
    assert!(read(&files.1, 0, LENGTH)[4096..] == content()[4096..]);
    assert!(read(&files.1, 0, 4096).iter().all(|byte| *byte == 0));
    // Where it stands from before does not matter.
    assert_eq!(copy_by(&ladder, Way::Sendfile, &files, [0, begin]), begin);
    assert!(read(&files.1, 0, LENGTH) == content());
}

#[test]
fn a_source_that_is_shorter_ends_it_where_the_source_ends() {
    let (ladder, files) = (Ladder::default(), files());
    let end = LENGTH as u64;
    assert_eq!(copy_by(&ladder, Way::Sendfile, &files, [0, end + 9]), end);
}

#[test]
fn a_way_that_is_refused_is_not_asked_for_again_and_the_content_arrives() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    // The kernel does not splice into what only grows.
    let to = OpenOptions::new().append(true).create(true).open(&path);
    let files = (files().0, to.unwrap());
    let ladder = Ladder::default();
    let mut moved = |_| true;
    let (from, to) = (files.0.as_fd(), files.1.as_fd());
    let copied = Copier::default().copy(&ladder, from, to, LENGTH as u64, false, &mut moved);
    assert_eq!(copied, Ok(()));
    assert!(ladder.no_sendfile.load(Ordering::Relaxed));
    assert!(std::fs::read(&path).unwrap() == content());
}

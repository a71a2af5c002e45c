use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use blit_engine::entry::DirId;
use blit_engine::run::{Listing, Next, ReadStatus};
use blit_engine::tree::{LocalSource, ScanOptions};

use super::{LargeFile, Piece};
use crate::data::FileSent;
use crate::wire::frame::CHUNK_BYTES;

const CHUNK: u64 = CHUNK_BYTES as u64;

/// Opens the only file of a directory as a source would.
pub(crate) fn open(root: &Path) -> LargeFile {
    let source = LocalSource::open(root, ScanOptions::default()).unwrap();
    let Next::Part(part) = source.next(std::time::Duration::ZERO).unwrap() else {
        panic!("no listing")
    };
    LargeFile::new(
        1,
        DirId::ROOT,
        source.open_file(DirId::ROOT, &part.entries[0]).unwrap(),
    )
}

fn good(bytes: u32) -> FileSent {
    FileSent {
        zero_copy: u64::from(bytes),
        problem: None,
    }
}

fn pieces(file: &LargeFile) -> Vec<Piece> {
    std::iter::from_fn(|| file.next()).collect()
}

#[test]
fn a_file_goes_in_pieces_of_at_most_four_mib() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; CHUNK_BYTES as usize * 2 + 5]).unwrap();
    let file = open(root.path());
    let expected = [(0, CHUNK_BYTES), (CHUNK, CHUNK_BYTES), (CHUNK * 2, 5)];
    let expected = expected.map(|(offset, length)| Piece {
        offset,
        length,
        again: false,
    });
    assert_eq!(pieces(&file), expected);
    for piece in expected {
        assert_eq!(file.end(), None, "pieces are under way");
        file.sent(piece, good(piece.length), None);
    }
    let ending = file.end().unwrap();
    assert_eq!(
        (&ending.status, ending.bytes),
        (&ReadStatus::Stable, CHUNK * 2 + 5)
    );
    assert_eq!(ending.zero_copy, ending.bytes);
    assert_eq!(file.end(), None, "only one thread ends it");
}

#[test]
fn holes_are_not_sent() {
    let root = tempfile::tempdir().unwrap();
    let sparse = File::create(root.path().join("f")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(&[1; 4096], 32 << 20).unwrap();
    assert_eq!(
        pieces(&open(root.path())),
        [Piece {
            offset: 32 << 20,
            length: 4096,
            again: false,
        }]
    );
}

#[test]
fn of_ranges_what_is_data_is_sent() {
    let root = tempfile::tempdir().unwrap();
    let sparse = File::create(root.path().join("f")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(&[1; 8192], 32 << 20).unwrap();
    sparse.write_all_at(&[1; 4096], 48 << 20).unwrap();
    let source = LocalSource::open(root.path(), ScanOptions::default()).unwrap();
    let Next::Part(part) = source.next(std::time::Duration::ZERO).unwrap() else {
        panic!("no listing")
    };
    let open = || source.open_file(DirId::ROOT, &part.entries[0]).unwrap();
    let sent = |ranges: &[(u64, u64)]| {
        let file = LargeFile::within(1, DirId::ROOT, open(), ranges);
        assert!(!file.is_whole());
        let pieces = pieces(&file);
        let ranges = pieces
            .iter()
            .map(|piece| (piece.offset, u64::from(piece.length)));
        ranges.collect::<Vec<_>>()
    };
    let all = [(32 << 20, 8192), (48 << 20, 4096)];
    assert_eq!(sent(&[(0, 64 << 20)]), all);
    let second = (32 << 20) + 4096;
    assert_eq!(sent(&[(second, (16 << 20) - 4096)]), [(second, 4096)]);
    let two = [(32 << 20, 1), ((32 << 20) + 2, 3)];
    assert_eq!(sent(&two), two);
    assert_eq!(sent(&[(0, 4096)]), []);
    // Beyond the end there is nothing.
    assert_eq!(sent(&[(64 << 20, 4096)]), []);
}

#[test]
fn a_file_of_holes_alone_ends_without_a_piece() {
    let root = tempfile::tempdir().unwrap();
    File::create(root.path().join("f"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let file = open(root.path());
    assert_eq!(file.next(), None);
    let ending = file.end().unwrap();
    assert_eq!((&ending.status, ending.bytes), (&ReadStatus::Stable, 0));
}

#[test]
fn a_file_that_is_written_to_is_reported_as_changed() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; 100_000]).unwrap();
    let file = open(root.path());
    let piece = file.next().unwrap();
    std::fs::write(root.path().join("f"), b"other").unwrap();
    file.sent(piece, good(piece.length), None);
    assert_eq!(file.end().unwrap().status, ReadStatus::Changed);
}

#[test]
fn after_a_problem_no_further_piece_is_sent() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; CHUNK_BYTES as usize * 3]).unwrap();
    let file = open(root.path());
    let (first, second) = (file.next().unwrap(), file.next().unwrap());
    file.sent(
        first,
        FileSent {
            zero_copy: 0,
            problem: Some(ReadStatus::Changed),
        },
        None,
    );
    assert_eq!(file.next(), None);
    assert_eq!(file.end(), None, "the second piece is under way");
    file.sent(second, good(second.length), None);
    let ending = file.end().unwrap();
    assert_eq!(
        (&ending.status, ending.bytes),
        (&ReadStatus::Changed, CHUNK * 2)
    );
}

#[test]
fn what_a_stream_lost_is_sent_again_before_the_file_ends() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; CHUNK_BYTES as usize * 2]).unwrap();
    let file = open(root.path());
    let [first, second] = [file.next().unwrap(), file.next().unwrap()];
    file.sent(first, good(first.length), None);
    // A thousand bytes of it had arrived.
    let left = Piece {
        offset: 1000,
        length: first.length - 1000,
        again: true,
    };
    assert!(file.lost(left, u64::from(first.length)));
    file.sent(second, good(second.length), None);
    assert_eq!(file.end(), None, "a part of the first piece is missing");
    assert_eq!(file.next(), Some(left));
    file.sent(left, good(left.length), None);
    let ending = file.end().unwrap();
    // What arrived of the lost piece counts once.
    assert_eq!((ending.bytes, ending.zero_copy), (CHUNK * 2, CHUNK * 2));
    assert!(!file.lost(second, 0), "it has ended");
}

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::*;

fn file(size: u64, data: &[(u64, &[u8])]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in data {
        file.write_all_at(bytes, *offset).unwrap();
    }
    file
}

fn hashes(file: &File, size: u64, offset: u64, length: u64) -> Vec<Hash> {
    let mut blocks = Blocks::new(file.as_fd(), size, true);
    let hashes = blocks.hashes(offset, length, &mut |_| true);
    hashes.unwrap().unwrap()
}

#[test]
fn data_has_hashes_and_holes_are_told_apart_from_zeros() {
    let block = vec![7; BLOCK as usize];
    let zeros = vec![0; BLOCK as usize];
    let size = BLOCK * 5 + 10;
    let sparse = file(
        size,
        &[
            (0, &block),
            (BLOCK, &zeros),
            (BLOCK * 3 + 4096, &[7; 4096]),
            (BLOCK * 5, &[7; 10]),
        ],
    );
    let expected = [
        hash_of(&block),
        hash_of(&zeros),
        HOLE,
        MIXED,
        HOLE,
        hash_of(&[7; 10]),
    ];
    assert_eq!(hashes(&sparse, size, 0, size), expected);
    assert_eq!(hashes(&sparse, size, 0, REGION), expected, "cut at the end");
    assert_eq!(hashes(&sparse, size, BLOCK * 3, BLOCK * 2), expected[3..5]);
}

#[test]
fn a_file_that_became_shorter_has_no_hash_there() {
    let short = file(10, &[(0, &[1; 10])]);
    let mut blocks = Blocks::new(short.as_fd(), BLOCK * 2, false);
    let found = blocks.hashes(0, BLOCK * 2, &mut |_| true).unwrap();
    assert_eq!(found.unwrap(), [MIXED, MIXED]);
}

#[test]
fn who_is_no_longer_interested_gets_nothing() {
    let some = file(BLOCK * 2, &[(0, &[1; 10])]);
    let mut blocks = Blocks::new(some.as_fd(), BLOCK * 2, false);
    assert_eq!(blocks.hashes(0, BLOCK * 2, &mut |_| false), Ok(None));
}

#[test]
fn a_range_is_cut_into_blocks() {
    let all: Vec<_> = blocks(BLOCK, BLOCK + 1).collect();
    assert_eq!(all, [(BLOCK, BLOCK), (BLOCK * 2, 1)]);
    assert_eq!(blocks(0, 0).count(), 0);
}

#[test]
fn a_hole_can_be_made() {
    let dense = file(BLOCK * 3, &[(0, &vec![9; BLOCK as usize * 3])]);
    punch(dense.as_fd(), BLOCK, BLOCK).unwrap();
    let full = hash_of(&vec![9; BLOCK as usize]);
    assert_eq!(hashes(&dense, BLOCK * 3, 0, BLOCK * 3), [full, HOLE, full]);
}

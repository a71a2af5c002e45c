use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use super::{BLOCK, CompareError, Comparer, Side};

/// Makes a file of this length with `pieces` of data at their offsets, holes elsewhere.
fn file(length: u64, pieces: &[(u64, &[u8])]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    for (offset, data) in pieces {
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.write_all(data).unwrap();
    }
    file
}

fn same(a: &File, b: &File, length: u64) -> (bool, u64) {
    let mut results = Vec::new();
    for sparse in [true, false] {
        let mut bytes = 0;
        let side = |file| Side {
            fd: AsFd::as_fd(file),
            sparse,
        };
        let mut count = |n| {
            bytes += n;
            true
        };
        let same = Comparer::default()
            .same(side(a), side(b), 0, length, &mut count)
            .unwrap();
        results.push((same, bytes));
    }
    // How far it came before a difference may depend on where the holes are.
    assert_eq!(results[0].0, results[1].0);
    results[0]
}

#[test]
fn a_byte_anywhere_makes_the_difference() {
    let length = 3 * BLOCK as u64 + 17;
    let content = vec![b'x'; usize::try_from(length).unwrap()];
    let original = file(length, &[(0, &content)]);
    assert_eq!(
        same(&original, &file(length, &[(0, &content)]), length),
        (true, length)
    );
    for at in [0, BLOCK - 1, BLOCK, content.len() - 1] {
        let mut altered = content.clone();
        altered[at] ^= 1;
        assert!(
            !same(&original, &file(length, &[(0, &altered)]), length).0,
            "at {at}"
        );
    }
}

#[test]
fn a_hole_is_as_many_zeros() {
    let length = 1 << 20;
    let zeros = vec![0; 1 << 20];
    let (holes, full) = (file(length, &[]), file(length, &[(0, &zeros)]));
    assert_eq!(same(&holes, &holes, length), (true, length));
    assert_eq!(same(&holes, &full, length), (true, length));
    assert_eq!(same(&full, &holes, length), (true, length));
    let one = file(length, &[(700_000, b"1")]);
    for other in [&holes, &full] {
        assert!(!same(other, &one, length).0);
        assert!(!same(&one, other, length).0);
    }
    let two = file(length, &[(100_000, b"0"), (700_000, b"1")]);
    assert!(!same(&one, &two, length).0);
    let again = file(length, &[(700_000, b"1")]);
    assert_eq!(same(&one, &again, length), (true, length));
}

#[test]
fn a_terabyte_of_holes_is_compared_without_being_read() {
    let length = 1 << 40;
    let (a, b) = (
        file(length, &[(1 << 39, b"x")]),
        file(length, &[(1 << 39, b"x")]),
    );
    let side = |file| Side {
        fd: AsFd::as_fd(file),
        sparse: true,
    };
    let same = Comparer::default().same(side(&a), side(&b), 0, length, &mut |_| true);
    assert_eq!(same, Ok(true));
}

#[test]
fn a_file_that_ends_early_differs_and_a_cancelled_comparison_says_nothing() {
    let (long, short) = (
        file(10, &[(0, b"0123456789")]),
        file(9, &[(0, b"012345678")]),
    );
    assert!(!same(&long, &short, 10).0);
    let side = Side {
        fd: long.as_fd(),
        sparse: false,
    };
    let cancelled = Comparer::default().same(side, side, 0, 10, &mut |_| false);
    assert_eq!(cancelled, Err(CompareError::Cancelled));
}

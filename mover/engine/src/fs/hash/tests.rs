use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::blake3_of;

fn hash(file: &File, size: u64, sparse: bool) -> String {
    let hash = blake3_of(file.as_fd(), size, sparse, &mut |_| true).unwrap();
    blake3::Hash::from_bytes(hash.unwrap()).to_string()
}

#[test]
fn the_hash_is_that_of_the_content_and_holes_are_zeros() {
    let length = 3_000_017;
    let mut content = vec![0; length];
    content[1_000_000..1_000_500].fill(7);
    let (full, holes) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    full.write_all_at(&content, 0).unwrap();
    holes.set_len(length as u64).unwrap();
    holes.write_all_at(&[7; 500], 1_000_000).unwrap();
    let expected = blake3::hash(&content).to_string();
    for sparse in [true, false] {
        assert_eq!(hash(&full, length as u64, sparse), expected);
        assert_eq!(hash(&holes, length as u64, sparse), expected);
    }
    // The vector of the specification for no input.
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(hash(&full, 0, false), empty);
}

#[test]
fn a_cancelled_hash_is_none_and_a_file_that_became_shorter_ends_where_it_ends() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(b"content", 0).unwrap();
    let cancelled = blake3_of(file.as_fd(), 7, false, &mut |_| false);
    assert_eq!(cancelled, Ok(None));
    assert_eq!(
        hash(&file, 100, false),
        blake3::hash(b"content").to_string()
    );
}

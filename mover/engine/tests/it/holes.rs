//! Holes stay holes, also where the number of blocks does not show them.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use crate::harness::Pair;

#[test]
fn an_attribute_block_does_not_hide_a_hole() {
    let pair = Pair::new();
    let path = pair.source.join("f");
    let file = std::fs::File::create(&path).unwrap();
    file.write_at(&[1; 4096], 0).unwrap();
    file.set_len(8192).unwrap();
    let value = vec![7; 2000];
    rustix::fs::fsetxattr(&file, "user.large", &value, rustix::fs::XattrFlags::empty()).unwrap();
    file.sync_all().unwrap();
    assert!(pair.mirror().is_complete());
    let copy = std::fs::File::open(pair.destination.join("f")).unwrap();
    let hole = rustix::fs::seek(copy.as_fd(), rustix::fs::SeekFrom::Hole(0)).unwrap();
    assert_eq!(hole, 4096);
    pair.assert_mirrored();
}

#[test]
fn blocks_allocated_ahead_do_not_hide_a_hole() {
    let pair = Pair::new();
    let file = std::fs::File::create(pair.source.join("f")).unwrap();
    file.write_at(&[1; 4096], 0).unwrap();
    file.set_len(12288).unwrap();
    let ahead = rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, ahead, 12288, 65536).unwrap();
    file.sync_all().unwrap();
    assert!(pair.mirror().is_complete());
    let copy = std::fs::File::open(pair.destination.join("f")).unwrap();
    let hole = rustix::fs::seek(copy.as_fd(), rustix::fs::SeekFrom::Hole(0)).unwrap();
    assert_eq!(hole, 4096);
    pair.assert_mirrored();
}

//! Whole sessions with real trees.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use crate::harness::mirror;

pub(crate) fn tree(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::write(root.join("a/empty"), b"").unwrap();
    for number in 0..500 {
        let content = vec![number as u8; number * 37 % 9000];
        fs::write(root.join(format!("a/b/{number}")), content).unwrap();
    }
    let large: Vec<u8> = (0..9_000_001u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(root.join("a/large"), &large).unwrap();
    fs::hard_link(root.join("a/large"), root.join("a/b/c/link")).unwrap();
    symlink("../b", root.join("a/symlink")).unwrap();
    let sparse = fs::File::create(root.join("a/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 20 << 20).unwrap();
    let small_sparse = fs::File::create(root.join("a/small-sparse")).unwrap();
    small_sparse.set_len(32 << 10).unwrap();
}

pub(crate) fn assert_same(from: &Path, to: &Path) {
    let output = std::process::Command::new("rsync")
        .args([
            "-naHAXc",
            "--modify-window=-1",
            "--delete",
            "--itemize-changes",
        ])
        .arg(format!("{}/", from.display()))
        .arg(format!("{}/", to.display()))
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn a_tree_of_every_kind_arrives_as_it_is() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    let ended = mirror(from.path(), to.path());
    let outcome = ended.source.unwrap();
    assert!(ended.summary.is_complete(), "{:?}", ended.summary);
    assert_same(from.path(), to.path());
    assert_eq!(outcome.summary.exit_code, 0);
    assert_eq!(
        outcome.summary.counters["filesCopied"],
        ended.summary.progress.files_copied
    );
    assert_eq!(outcome.bytes_sent, ended.figures.bytes_received);
    let sparse = fs::metadata(to.path().join("a/sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "holes were filled");
}

#[test]
fn large_files_go_without_a_copy_through_memory() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("large"), vec![7; 20 << 20]).unwrap();
    let ended = mirror(from.path(), to.path());
    assert_eq!(ended.figures.bytes_received, 20 << 20);
    assert_eq!(ended.figures.zero_copy_share(), 1.0);
    assert_same(from.path(), to.path());
}

#[test]
fn a_second_push_of_an_unchanged_tree_sends_nothing() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    assert!(mirror(from.path(), to.path()).summary.is_complete());
    let again = mirror(from.path(), to.path());
    assert!(again.summary.is_complete(), "{:?}", again.summary);
    assert_eq!(again.source.unwrap().bytes_sent, 0);
    assert_eq!(again.summary.progress.files_copied, 0);
}

#[test]
fn what_the_source_does_not_have_is_deleted() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    assert!(mirror(from.path(), to.path()).summary.is_complete());
    fs::write(to.path().join("a/b/extra"), b"x").unwrap();
    fs::create_dir_all(to.path().join("a/d/e")).unwrap();
    fs::remove_file(from.path().join("a/b/17")).unwrap();
    let ended = mirror(from.path(), to.path());
    assert!(ended.summary.is_complete(), "{:?}", ended.summary);
    assert_same(from.path(), to.path());
    assert_eq!(ended.summary.progress.files_deleted, 4);
}

use std::fs;

use super::{foreseen, is_empty, respelled, seen};
use crate::fs::Dir;

#[test]
fn only_letters_of_ascii_are_respelled() {
    assert_eq!(respelled(b"Makefile.7"), Some(b"mAKEFILE.7".to_vec()));
    assert_eq!(respelled("Äa".as_bytes()), Some("ÄA".as_bytes().to_vec()));
    assert_eq!(respelled(b"0001"), None);
}

#[test]
fn where_case_counts_the_names_say_so_or_those_above() {
    let area = tempfile::tempdir().unwrap();
    let open = |name: &str| Dir::open_root(&area.path().join(name)).unwrap();
    fs::create_dir(area.path().join("inner")).unwrap();
    let inner = open("inner");
    assert!(is_empty(&inner));
    assert_eq!((seen(&inner), foreseen(&inner)), (None, Some(false)));
    for digits in 0..10 {
        fs::write(area.path().join(format!("inner/{digits}")), "").unwrap();
    }
    assert!(!is_empty(&inner));
    assert_eq!((seen(&inner), foreseen(&inner)), (None, Some(false)));
    fs::write(area.path().join("inner/name"), "").unwrap();
    assert_eq!(seen(&inner), Some(false));
}

#[test]
fn where_both_spellings_are_names_case_counts_also_if_they_are_links() {
    let area = tempfile::tempdir().unwrap();
    let dir = Dir::open_root(area.path()).unwrap();
    fs::write(area.path().join("name"), "").unwrap();
    fs::hard_link(area.path().join("name"), area.path().join("NAME")).unwrap();
    assert_eq!(seen(&dir), Some(false));
    fs::remove_file(area.path().join("NAME")).unwrap();
    fs::write(area.path().join("NAME"), "").unwrap();
    assert_eq!(seen(&dir), Some(false));
}

use proptest::prelude::*;

use super::*;

#[test]
fn what_could_lead_out_is_refused() {
    for wrong in ["..", "/..", "a/../b", "a/..", "a\0b"] {
        assert!(RelPath::new(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    assert!(RelPath::new(&[b'a'; 256]).is_err());
    assert!(RelPath::new(&[b'/'; PATH_BYTES + 1]).is_err());
}

#[test]
fn a_path_begins_at_the_root_of_the_daemon() {
    for same in ["a/b", "/a/b", "//a//b/", "./a/./b"] {
        let path = RelPath::new(same.as_bytes()).unwrap();
        assert_eq!(
            (path.to_bytes().as_slice(), path.to_string().as_str()),
            (&b"a/b"[..], "/a/b")
        );
    }
    let root = RelPath::new(b"/").unwrap();
    assert!(root.is_root() && root.split_last().is_none());
    assert_eq!(root.to_string(), "/");
}

proptest! {
    #[test]
    fn whatever_is_taken_stays_below_the_root(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(path) = RelPath::new(&bytes) {
            let again = path.to_bytes();
            prop_assert!(!again.starts_with(b"/"));
            prop_assert!(again.split(|b| *b == b'/').all(|name| name != b".." && !name.contains(&0)));
            prop_assert_eq!(RelPath::new(&again).unwrap(), path);
        }
    }
}

use super::{STREAMS, VERIFY, both_have, hello, negotiate};
use crate::v2::Hello;

fn speaks(min: u32, max: u32) -> Hello {
    Hello {
        min,
        max,
        features: Vec::new(),
        program: format!("blit {min}-{max}"),
    }
}

#[test]
fn the_highest_common_version_is_chosen() {
    assert_eq!(negotiate(&speaks(1, 3), &speaks(2, 5)).unwrap(), 3);
    assert_eq!(negotiate(&speaks(2, 5), &speaks(1, 3)).unwrap(), 3);
    assert_eq!(negotiate(&hello(), &hello()).unwrap(), super::MAX);
}

#[test]
fn a_mismatch_names_both_sides_and_the_remedy() {
    let text = negotiate(&speaks(1, 2), &speaks(3, 4))
        .unwrap_err()
        .to_string();
    for part in [
        "blit 1-2",
        "speaks 1 to 2",
        "blit 3-4",
        "3 to 4",
        "same release",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_peer_without_versions_is_refused() {
    assert!(negotiate(&hello(), &Hello::default()).is_err());
}

#[test]
fn control_characters_of_the_peer_do_not_reach_the_message() {
    let mut theirs = speaks(8, 9);
    theirs.program = "\u{1b}[2Jx".to_owned();
    let text = negotiate(&hello(), &theirs).unwrap_err().to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_feature_counts_only_where_both_sides_have_it() {
    let (newer, mut older) = (hello(), hello());
    older.features.retain(|feature| feature != STREAMS);
    assert!(both_have(STREAMS, &newer, &newer));
    assert!(!both_have(STREAMS, &newer, &older));
    assert!(!both_have(STREAMS, &older, &newer));
    assert!(both_have(VERIFY, &older, &newer));
    assert!(!both_have("unknown", &newer, &newer));
}

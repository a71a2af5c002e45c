use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{FileHeader, ListingEnd, ListingPart, ManifestComplete};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{IdSet, ListingRules};

fn part(dir: u64, part: u32, names: &[u64], end: Option<Outcome>) -> ListingPart {
    let entries = names.iter().map(|&dir| FileHeader {
        dir: Some(dir),
        ..FileHeader::default()
    });
    ListingPart {
        dir,
        part,
        entries: entries.collect(),
        end: end.map(|outcome| ListingEnd {
            outcome: Some(outcome),
            ..ListingEnd::default()
        }),
    }
}

fn complete(count: u64) -> Option<Outcome> {
    Some(Outcome::CompleteCount(count))
}

#[test]
fn a_listing_in_order_is_taken() {
    let mut rules = ListingRules::new();
    rules.part(&part(0, 0, &[1], None)).unwrap();
    rules.part(&part(0, 1, &[2], complete(2))).unwrap();
    rules
        .part(&part(
            2,
            0,
            &[],
            Some(Outcome::IncompleteReason("x".to_owned())),
        ))
        .unwrap();
    rules.part(&part(1, 0, &[], complete(0))).unwrap();
    rules
        .complete(&ManifestComplete {
            directories: 3,
            entries: 2,
        })
        .unwrap();
}

#[test]
fn a_directory_that_was_not_named_is_refused() {
    let mut rules = ListingRules::new();
    assert!(rules.part(&part(1, 0, &[], complete(0))).is_err());
}

#[test]
fn a_gap_or_a_repetition_is_refused() {
    let mut rules = ListingRules::new();
    assert!(rules.part(&part(0, 1, &[], None)).is_err());
    rules.part(&part(0, 0, &[], None)).unwrap();
    assert!(rules.part(&part(0, 0, &[], None)).is_err());
}

#[test]
fn nothing_follows_the_end_of_a_directory() {
    let mut rules = ListingRules::new();
    rules.part(&part(0, 0, &[], complete(0))).unwrap();
    assert!(rules.part(&part(0, 1, &[], complete(0))).is_err());
}

#[test]
fn a_count_that_does_not_agree_is_refused() {
    let mut rules = ListingRules::new();
    rules.part(&part(0, 0, &[1], None)).unwrap();
    assert!(rules.part(&part(0, 1, &[2], complete(1))).is_err());
}

#[test]
fn two_directories_do_not_share_a_number() {
    let mut rules = ListingRules::new();
    assert!(rules.part(&part(0, 0, &[1, 1], None)).is_err());
    let mut rules = ListingRules::new();
    rules.part(&part(0, 0, &[1], None)).unwrap();
    rules.part(&part(1, 0, &[], complete(0))).unwrap();
    assert!(
        rules.part(&part(0, 1, &[1], None)).is_err(),
        "although the first has ended"
    );
    let mut rules = ListingRules::new();
    assert!(rules.part(&part(0, 0, &[0], None)).is_err(), "the root");
}

#[test]
fn the_listing_is_not_over_while_a_directory_is_missing() {
    let mut rules = ListingRules::new();
    rules.part(&part(0, 0, &[1], complete(1))).unwrap();
    assert!(
        rules
            .complete(&ManifestComplete {
                directories: 1,
                entries: 1
            })
            .is_err()
    );
}

#[test]
fn totals_that_do_not_agree_are_refused() {
    for (directories, entries) in [(2, 0), (1, 1), (0, 0)] {
        let mut rules = ListingRules::new();
        rules.part(&part(0, 0, &[], complete(0))).unwrap();
        assert!(
            rules
                .complete(&ManifestComplete {
                    directories,
                    entries
                })
                .is_err()
        );
    }
}

#[test]
fn an_end_without_a_result_is_refused() {
    let mut part = part(0, 0, &[], None);
    part.end = Some(ListingEnd::default());
    assert!(ListingRules::new().part(&part).is_err());
}

#[test]
fn neighbours_are_kept_as_one_range() {
    let mut set = IdSet::default();
    for id in (0..1000).rev() {
        assert!(set.insert(id));
    }
    assert_eq!(set.0.len(), 1);
    assert!(set.insert(u64::MAX) && !set.insert(u64::MAX) && !set.insert(500));
}

proptest! {
    #[test]
    fn the_set_knows_what_was_inserted(ids in vec(prop_oneof![0..40u64, any::<u64>()], 0..200)) {
        let mut set = IdSet::default();
        let mut model = std::collections::HashSet::new();
        for id in ids {
            prop_assert_eq!(set.insert(id), model.insert(id));
        }
    }
}

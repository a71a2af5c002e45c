use blit_engine::entry::{DirId, Xattrs};
use blit_engine::run::{End, Part};
use blit_proto::LISTING_PART_BYTES;
use blit_proto::v2::{ListingEnd, ListingPart};
use prost::Message;

use super::{Outcome, end_from_wire, end_to_wire, part_from_wire, split};
use crate::wire::entry::tests::file;

fn part(entries: Vec<blit_engine::entry::Entry>) -> Part {
    Part {
        dir: DirId(3),
        part: 4,
        entries,
        end: None,
    }
}

#[test]
fn no_message_is_longer_than_256_kib() {
    let entries = (0..5000u32)
        .map(|n| file(format!("{n:0>200}").as_bytes(), 7))
        .collect();
    let groups = split(&part(entries));
    assert!(groups.len() > 1);
    assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 5000);
    for entries in groups {
        let message = ListingPart {
            dir: u64::MAX,
            part: u32::MAX,
            entries,
            end: None,
        };
        assert!(
            message.encoded_len() <= LISTING_PART_BYTES + 64,
            "{}",
            message.encoded_len()
        );
    }
}

#[test]
fn an_entry_that_is_longer_alone_goes_alone() {
    let mut long = file(b"long", 1);
    let value: Box<[u8]> = vec![0; 60 << 10].into();
    let names = (0..6).map(|n| (format!("user.{n}").into_bytes().into(), value.clone()));
    long.xattrs = Some(Xattrs(names.collect()));
    let groups = split(&part(vec![file(b"a", 1), long, file(b"b", 1)]));
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn a_part_without_entries_is_still_a_message() {
    assert_eq!(split(&part(Vec::new())), [Vec::new()]);
}

#[test]
fn parts_read_back_as_they_were_sent() {
    for end in [
        None,
        Some(End::Complete { count: 2 }),
        Some(End::Incomplete {
            reason: "cannot read".to_owned(),
        }),
        Some(End::NotEntered),
    ] {
        let sent = Part {
            end,
            ..part(vec![file(b"a", 1), file(b"b", 2)])
        };
        let message = ListingPart {
            dir: 3,
            part: 4,
            entries: split(&sent).remove(0),
            end: sent.end.as_ref().map(end_to_wire),
        };
        let read = part_from_wire(message).unwrap();
        assert_eq!((read.dir, read.part), (sent.dir, sent.part));
        assert_eq!((read.entries, read.end), (sent.entries, sent.end));
    }
}

#[test]
fn an_end_without_a_result_is_refused() {
    let message = ListingPart {
        end: Some(ListingEnd::default()),
        ..ListingPart::default()
    };
    assert!(part_from_wire(message).is_err());
}

#[test]
fn a_file_system_that_is_left_out_is_incomplete_to_a_side_that_does_not_know_it_otherwise() {
    let end = end_to_wire(&End::NotEntered);
    let older = ListingEnd {
        not_entered: false,
        ..end
    };
    let read = end_from_wire(older).unwrap();
    assert!(matches!(read, End::Incomplete { .. }), "{read:?}");
}

#[test]
fn what_was_listed_to_its_end_was_entered_whatever_else_is_said() {
    let end = ListingEnd {
        outcome: Some(Outcome::CompleteCount(2)),
        not_entered: true,
    };
    assert_eq!(end_from_wire(end).unwrap(), End::Complete { count: 2 });
}

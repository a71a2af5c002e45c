use blit_engine::run::ReadStatus;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{decode_end, encode_end, encode_result, next_record, record_head, with_code};
use crate::wire::entry::tests::{entries, file};
use crate::wire::reader::Reader;

fn statuses() -> impl Strategy<Value = ReadStatus> {
    prop_oneof![
        Just(ReadStatus::Stable),
        Just(ReadStatus::Changed),
        Just(ReadStatus::Vanished),
        "[a-zäß]{0,40}".prop_map(ReadStatus::Failed),
    ]
}

fn record(id: u64, content: &[u8], result: &[u8]) -> Vec<u8> {
    [&record_head(id, content.len() as u32)[..], content, result].concat()
}

proptest! {
    #[test]
    fn every_whole_file_reads_back_as_it_was_sent(
        id in any::<u64>(),
        content in vec(any::<u8>(), 0..300),
        status in statuses(),
        fresh in proptest::option::of(entries()),
    ) {
        let bytes = record(id, &content, &encode_result(&status, fresh.as_ref()));
        let mut reader = Reader::new(&bytes);
        let read = next_record(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(read.content, content.as_slice());
        prop_assert_eq!(read.tail.status, status);
        prop_assert_eq!(read.tail.bytes, content.len() as u64);
        prop_assert_eq!(read.tail.fresh, fresh);
    }

    #[test]
    fn every_end_reads_back_as_it_was_sent(
        bytes in 0..=i64::MAX as u64,
        status in statuses(),
        fresh in proptest::option::of(entries()),
    ) {
        let result = encode_result(&status, fresh.as_ref());
        let encoded = encode_end(bytes, bytes / 2, &result);
        let end = decode_end(&encoded).unwrap();
        prop_assert_eq!(end.zero_copy, bytes / 2);
        prop_assert_eq!(end.tail.bytes, bytes);
        prop_assert_eq!(end.tail.status, status);
        prop_assert_eq!(end.tail.fresh, fresh);
    }

    #[test]
    fn a_code_comes_with_what_it_covers(status in statuses(), fresh in proptest::option::of(entries())) {
        let plain = encode_result(&status, fresh.as_ref());
        let mut covered = Vec::new();
        let coded = with_code(plain, |result| {
            covered = result.to_vec();
            [7; 32]
        });
        let bytes = record(3, b"content", &coded);
        let mut reader = Reader::new(&bytes);
        let file = next_record(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        prop_assert_eq!((file.tail.status, file.tail.fresh), (status, fresh));
        let code = file.code.unwrap();
        prop_assert_eq!(code.code, [7; 32]);
        prop_assert_eq!(code.result, &covered[..]);
        // Without its code it is cut short.
        prop_assert!(next_record(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = next_record(&mut Reader::new(&bytes));
        let _ = decode_end(&bytes);
    }

    #[test]
    fn a_record_cut_anywhere_is_refused(at in 0..100usize) {
        let bytes = record(7, &[1; 40], &encode_result(&ReadStatus::Changed, Some(&file(b"x", 1))));
        prop_assume!(at < bytes.len());
        prop_assert!(next_record(&mut Reader::new(&bytes[..at])).is_err());
    }
}

#[test]
fn a_file_of_more_than_64_kib_does_not_come_whole() {
    let content = vec![0; (64 << 10) + 1];
    let bytes = record(1, &content, &encode_result(&ReadStatus::Stable, None));
    assert!(next_record(&mut Reader::new(&bytes)).is_err());
}

#[test]
fn a_length_beyond_the_frame_is_refused() {
    let mut bytes = record(1, b"abc", &encode_result(&ReadStatus::Stable, None));
    bytes[8..12].copy_from_slice(&60_000u32.to_be_bytes());
    assert!(next_record(&mut Reader::new(&bytes)).is_err());
}

#[test]
fn figures_that_do_not_add_up_are_refused() {
    let result = encode_result(&ReadStatus::Stable, None);
    assert!(decode_end(&encode_end(1, 2, &result)).is_err());
    assert!(decode_end(&encode_end(u64::MAX, 0, &result)).is_err());
    assert!(decode_end(&[encode_end(1, 1, &result), vec![0]].concat()).is_err());
}

#[test]
fn a_long_failure_is_cut_between_characters() {
    let result = encode_result(&ReadStatus::Failed("ä".repeat(2000)), None);
    let encoded = encode_end(0, 0, &result);
    let end = decode_end(&encoded).unwrap();
    let ReadStatus::Failed(message) = end.tail.status else {
        panic!("another status")
    };
    assert!(
        message.len() <= 1024 && message.chars().all(|c| c == 'ä'),
        "{}",
        message.len()
    );
}

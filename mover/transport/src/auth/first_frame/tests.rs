use proptest::prelude::*;

use super::{
    ANSWER_BYTES, Direction, FRAME_BYTES, KEY_BYTES, NONCE_BYTES, Subject, TOKEN_BYTES,
    check_answer, decode, encode,
};

const KEY: [u8; KEY_BYTES] = [1; KEY_BYTES];
const NONCE: [u8; NONCE_BYTES] = [2; NONCE_BYTES];

fn subject() -> Subject<'static> {
    Subject {
        jti: "id",
        stream: 1,
        direction: Direction::Push,
    }
}

#[test]
fn both_ends_prove_the_key_to_each_other() {
    let frame = encode("token", &KEY, subject(), &NONCE).unwrap();
    let first = decode(&frame).unwrap();
    assert_eq!(first.token, "token");
    let answer = first.answer(&KEY, subject()).unwrap();
    assert!(check_answer(&answer, &KEY, subject(), &NONCE));
}

#[test]
fn another_key_stream_or_id_proves_nothing() {
    let frame = encode("token", &KEY, subject(), &NONCE).unwrap();
    let first = decode(&frame).unwrap();
    assert!(first.answer(&[3; KEY_BYTES], subject()).is_none());
    assert!(
        first
            .answer(
                &KEY,
                Subject {
                    stream: 2,
                    ..subject()
                }
            )
            .is_none()
    );
    assert!(
        first
            .answer(
                &KEY,
                Subject {
                    jti: "other",
                    ..subject()
                }
            )
            .is_none()
    );
}

#[test]
fn an_answer_is_good_for_its_own_frame_only() {
    let frame = encode("token", &KEY, subject(), &NONCE).unwrap();
    let answer = decode(&frame).unwrap().answer(&KEY, subject()).unwrap();
    assert!(!check_answer(&answer, &KEY, subject(), &[9; NONCE_BYTES]));
    assert!(!check_answer(&answer, &[3; KEY_BYTES], subject(), &NONCE));
    // The proof of the dialler, sent back, is not that of the listener.
    let mut echo = [0; ANSWER_BYTES];
    echo[..8].copy_from_slice(&frame[..8]);
    let mac = 8 + 2 + "token".len() + NONCE_BYTES;
    echo[8..].copy_from_slice(&frame[mac..mac + 32]);
    assert!(!check_answer(&echo, &KEY, subject(), &NONCE));
}

#[test]
fn the_longest_token_fits_and_a_longer_one_is_refused() {
    let longest = "x".repeat(TOKEN_BYTES);
    let frame = encode(&longest, &KEY, subject(), &NONCE).unwrap();
    assert_eq!(decode(&frame).unwrap().token, longest);
    assert!(encode(&"x".repeat(TOKEN_BYTES + 1), &KEY, subject(), &NONCE).is_err());
    let mut frame = frame;
    frame[8..10].copy_from_slice(&(TOKEN_BYTES as u16 + 1).to_be_bytes());
    assert!(decode(&frame).is_err());
}

proptest! {
    #[test]
    fn a_frame_with_any_byte_changed_proves_nothing(at in 0..FRAME_BYTES, flip in 1..=255u8) {
        let mut frame = encode("token", &KEY, subject(), &NONCE).unwrap();
        frame[at] ^= flip;
        // The token is protected by its signature, not by this code.
        prop_assume!(!(10..15).contains(&at));
        let proved = decode(&frame).is_ok_and(|first| first.answer(&KEY, subject()).is_some());
        prop_assert!(!proved);
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), FRAME_BYTES),
        magic in any::<bool>(),
    ) {
        if magic {
            bytes[..8].copy_from_slice(b"BLITDP2\0");
        }
        let frame: [u8; FRAME_BYTES] = bytes.try_into().unwrap();
        let proved = decode(&frame).is_ok_and(|first| first.answer(&KEY, subject()).is_some());
        prop_assert!(!proved);
    }
}

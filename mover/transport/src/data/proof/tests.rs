use super::*;
use crate::wire::files::{decode_end, encode_end, encode_result, with_code};

const KEY: [u8; 32] = [7; 32];

/// A file of two pieces, and what its source says at the end.
fn end_of(pieces: &[&Passing], bytes: u64) -> (Vec<u8>, Hash) {
    let mut sum = Sum::default();
    pieces.iter().for_each(|piece| piece.add_to(&mut sum));
    let result = vec![0; 7];
    let code = Codes::from(KEY).end(1, bytes, sum, &result);
    (result, code)
}

fn tail(bytes: u64) -> Tail {
    Tail {
        status: ReadStatus::Stable,
        bytes,
        fresh: None,
    }
}

fn piece(codes: &Codes, offset: u64, content: &[u8]) -> Passing {
    let mut piece = codes.piece(1, offset, content.len() as u32);
    piece.pass(content);
    piece
}

/// Lets a file of two pieces arrive as it was sent; `meanwhile` comes before the last thing.
fn settled(meanwhile: impl FnOnce(&Proof)) -> ReadStatus {
    let codes = Codes::from(KEY);
    let proof = Proof::new(codes.clone());
    let sent = [piece(&codes, 0, b"abc"), piece(&codes, 3, b"de")];
    let (result, code) = end_of(&[&sent[0], &sent[1]], 5);
    for (offset, content) in [(3, &b"de"[..]), (0, &b"abc"[..])] {
        let mut passing = proof.passing(1, offset, content.len() as u32);
        passing.pass(content);
        proof.passed(1, &passing);
    }
    meanwhile(&proof);
    let coded = Coded {
        result: &result,
        code,
    };
    proof.end(1, &tail(5), Some(coded));
    proof.settle(1, tail(5)).status
}

#[test]
fn what_arrives_as_it_was_sent_is_proven() {
    assert_eq!(settled(|_| ()), ReadStatus::Stable);
}

#[test]
fn a_file_that_somebody_still_writes_to_is_not_proven() {
    // Somebody on the path begins another piece of a file of which all has come, and would go on when it has its name.
    let status = settled(|proof| drop(proof.passing(1, 0, 3)));
    assert_eq!(status, ReadStatus::Altered);
    // Of another file it is nobody's business.
    let status = settled(|proof| drop(proof.passing(2, 0, 3)));
    assert_eq!(status, ReadStatus::Stable);
}

#[test]
fn a_piece_that_came_twice_is_noticed() {
    let status = settled(|proof| {
        let mut again = proof.passing(1, 3, 2);
        again.pass(b"de");
        proof.passed(1, &again);
    });
    assert_eq!(status, ReadStatus::Altered);
}

fn proof() -> Proof {
    Proof::new(Codes::from(KEY))
}

/// The end of a file of one piece of these bytes at `offset`, as a source that has the key says it.
fn end(offset: u64, content: &[u8]) -> Vec<u8> {
    let codes = Codes::from(KEY);
    let mut piece = codes.piece(1, offset, content.len() as u32);
    piece.pass(content);
    let mut sum = Sum::default();
    piece.add_to(&mut sum);
    let bytes = content.len() as u64;
    let result = with_code(encode_result(&ReadStatus::Stable, None), |result| {
        codes.end(1, bytes, sum, result)
    });
    encode_end(bytes, 0, &result)
}

fn judge(proof: &Proof, end: &[u8]) -> ReadStatus {
    let end = decode_end(end).unwrap();
    proof.end(1, &end.tail, end.code);
    proof.settle(1, end.tail).status
}

#[test]
fn a_piece_that_comes_over_several_streams_is_one() {
    for altered in [false, true] {
        let proof = proof();
        let mut passing = proof.passing(1, 100, 10);
        passing.pass(b"0123");
        proof.cut(1, 104, 6, passing);
        // The next stream brings nothing of it, the one after that the rest.
        let passing = proof.passing(1, 104, 6);
        proof.cut(1, 104, 6, passing);
        let mut passing = proof.passing(1, 104, 6);
        passing.pass(if altered { b"45678X" } else { b"456789" });
        proof.passed(1, &passing);
        let status = judge(&proof, &end(100, b"0123456789"));
        let expected = match altered {
            false => ReadStatus::Stable,
            true => ReadStatus::Altered,
        };
        assert_eq!(status, expected);
    }
}

#[test]
fn the_rest_of_a_piece_counts_only_where_it_belongs() {
    let proof = proof();
    let mut passing = proof.passing(1, 100, 10);
    passing.pass(b"0123");
    proof.cut(1, 104, 6, passing);
    let mut passing = proof.passing(1, 105, 6);
    passing.pass(b"456789");
    proof.passed(1, &passing);
    let status = judge(&proof, &end(100, b"0123456789"));
    assert_eq!(status, ReadStatus::Altered);
}

#[test]
fn an_end_that_came_late_leaves_nothing() {
    let proof = proof();
    let bytes = end(0, b"0123456789");
    let late = decode_end(&bytes).unwrap();
    proof.end(1, &late.tail, late.code);
    proof.forget(1);
    assert!(lock(&proof.files).is_empty());
}

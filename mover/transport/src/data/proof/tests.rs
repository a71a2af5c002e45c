use super::*;

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
    proof.end(1, 5, Some(coded));
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

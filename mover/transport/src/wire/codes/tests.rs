use proptest::prelude::*;

use super::{Codes, Sum, same};

fn codes(key: u8) -> Codes {
    Codes::new(&[key; 32]).unwrap()
}

/// File, offset, content.
type Piece<'a> = (u64, u64, &'a [u8]);

fn sum(pieces: &[Piece<'_>]) -> Sum {
    let mut sum = Sum::default();
    for (id, offset, content) in pieces {
        let mut passing = codes(1).piece(*id, *offset, content.len() as u32);
        passing.pass(content);
        passing.add_to(&mut sum);
    }
    sum
}

#[test]
fn a_key_of_another_length_is_none() {
    assert!(Codes::new(&[0; 31]).is_none());
    assert!(Codes::new(&[0; 33]).is_none());
    assert!(Codes::new(&[]).is_none());
}

#[test]
fn whatever_differs_makes_another_code() {
    let code = codes(1).whole(7, b"content", b"result");
    assert!(same(&code, &codes(1).whole(7, b"content", b"result")));
    for other in [
        codes(2).whole(7, b"content", b"result"),
        codes(1).whole(8, b"content", b"result"),
        codes(1).whole(7, b"Content", b"result"),
        codes(1).whole(7, b"content", b"Result"),
        // The border between content and result is part of it.
        codes(1).whole(7, b"contentr", b"esult"),
    ] {
        assert!(!same(&code, &other));
    }
}

#[test]
fn pieces_are_added_in_any_order_and_each_belongs_to_its_place() {
    let (a, b): (Piece<'_>, Piece<'_>) = ((1, 0, b"abc"), (1, 3, b"def"));
    assert_eq!(sum(&[a, b]), sum(&[b, a]));
    for other in [
        sum(&[a]),
        sum(&[a, b, b]),
        sum(&[(1, 0, b"abd"), b]),
        // The same bytes in each other's place, and in another file.
        sum(&[(1, 0, b"def"), (1, 3, b"abc")]),
        sum(&[(2, 0, b"abc"), b]),
    ] {
        assert_ne!(sum(&[a, b]), other);
    }
}

proptest! {
    #[test]
    fn a_byte_that_changes_on_the_way_is_seen(
        content in proptest::collection::vec(any::<u8>(), 1..2000),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut altered = content.clone();
        altered[at.index(content.len())] ^= 1 << bit;
        let code = |bytes: &[u8]| codes(1).whole(1, bytes, b"");
        prop_assert!(!same(&code(&content), &code(&altered)));
        let end = |bytes: &[u8]| codes(1).end(1, 9, sum(&[(1, 0, bytes)]), b"");
        prop_assert!(!same(&end(&content), &end(&altered)));
    }
}

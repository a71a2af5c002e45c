use blit_engine::entry::DirId;
use blit_engine::run::Want;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{WANTS_PER_MESSAGE, Wanted, pack, unpack};

proptest! {
    #[test]
    fn wants_read_back_as_they_were_sent(
        wants in vec(any::<(u64, u64, u32, u32)>(), 0..100),
    ) {
        let sent: Vec<Want> = wants
            .iter()
            .map(|&(id, dir, part, index)| Want { id, dir: DirId(dir), part, index, size: 5, hash: false })
            .collect();
        let read: Vec<Wanted> =
            wants.iter().map(|&(id, dir, part, index)| Wanted { id, dir, part, index }).collect();
        prop_assert_eq!(unpack(&pack(&sent)).unwrap(), read);
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..500)) {
        let _ = unpack(&bytes);
    }
}

#[test]
fn the_most_wants_of_a_message_fit_and_no_more() {
    let want = Want {
        id: u64::MAX,
        dir: DirId(u64::MAX),
        part: u32::MAX,
        index: u32::MAX,
        size: 0,
        hash: false,
    };
    let most = pack(&vec![want; WANTS_PER_MESSAGE]);
    assert_eq!(unpack(&most).unwrap().len(), WANTS_PER_MESSAGE);
    assert!(unpack(&pack(&vec![want; WANTS_PER_MESSAGE + 1])).is_err());
    assert!(unpack(&vec![0; 1 << 20]).is_err());
}

#[test]
fn numbers_that_are_too_long_are_refused() {
    assert!(unpack(&[0xff; 11]).is_err(), "more than 64 bits");
    assert!(
        unpack(&[1, 1, 0xff, 0xff, 0xff, 0xff, 0x1f, 1]).is_err(),
        "a part of more than 32 bits"
    );
    assert!(unpack(&[1, 1, 1]).is_err(), "cut off");
}

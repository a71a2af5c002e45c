use blit_engine::entry::DirId;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn want(id: u64, what: What) -> PartWant {
    PartWant {
        id,
        dir: DirId(id + 1),
        part: 2,
        index: 3,
        what,
    }
}

fn ranges() -> impl Strategy<Value = Ranges> {
    vec((0..1u64 << 40, 1..1u64 << 30), 1..20).prop_map(|gaps| {
        let mut behind = 0;
        gaps.into_iter()
            .map(|(gap, length)| {
                let offset = behind + gap;
                behind = offset + length;
                (offset, length)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn parts_read_back_as_they_were_wanted(
        wanted in vec(ranges(), 0..10),
        blocks in vec((0..1u64 << 30, 1..=REGION), 0..10),
    ) {
        let blocks: Vec<_> = blocks.into_iter().map(|(n, length)| (n * BLOCK, length)).collect();
        let mut wants: Vec<PartWant> = (0..)
            .zip(&wanted)
            .map(|(id, ranges)| want(id, What::Ranges(ranges.clone())))
            .collect();
        wants.extend((100..).zip(&blocks).map(|(id, (offset, length))| {
            want(id, What::Blocks { offset: *offset, length: *length })
        }));
        let (packed_ranges, packed_blocks) = pack(&wants);
        let read: Vec<_> = unpack_ranges(&packed_ranges).unwrap();
        prop_assert_eq!(read.iter().map(|(_, ranges)| ranges.clone()).collect::<Vec<_>>(), wanted);
        for (id, (named, _)) in (0..).zip(&read) {
            prop_assert_eq!(*named, Wanted { id, dir: id + 1, part: 2, index: 3 });
        }
        let read = unpack_blocks(&packed_blocks).unwrap();
        prop_assert_eq!(read.into_iter().map(|(_, blocks)| blocks).collect::<Vec<_>>(), blocks);
    }

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = unpack_ranges(&bytes);
        let _ = unpack_blocks(&bytes);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let ranges = |ranges: &[(u64, u64)]| pack(&[want(1, What::Ranges(ranges.to_vec()))]).0;
    for (what, bytes) in [
        ("no range", ranges(&[])),
        ("an empty one", ranges(&[(5, 0)])),
        ("too many", ranges(&vec![(1, 1); WANT_RANGES + 1])),
        ("beyond any file", ranges(&[(i64::MAX as u64, 1)])),
        (
            "too many wants",
            ranges(&[(1, 1)]).repeat(PARTS_PER_MESSAGE + 1),
        ),
        ("cut", ranges(&[(1, 1)])[..5].to_vec()),
        ("too long", vec![0; MESSAGE_BYTES + 1]),
    ] {
        assert!(unpack_ranges(&bytes).is_err(), "{what}");
    }
    let blocks = |offset, length| pack(&[want(1, What::Blocks { offset, length })]).1;
    assert!(unpack_blocks(&blocks(BLOCK, 5)).is_ok());
    for (offset, length) in [
        (1, BLOCK),
        (0, 0),
        (0, REGION + 1),
        (i64::MAX as u64 / BLOCK * BLOCK, REGION),
    ] {
        assert!(
            unpack_blocks(&blocks(offset, length)).is_err(),
            "{offset} {length}"
        );
    }
}

use proptest::prelude::*;

use super::*;

#[test]
fn samples_are_whole_blocks_spread_over_the_file() {
    assert_eq!(samples(BLOCK - 1), []);
    assert_eq!(samples(BLOCK * 2 + 5), [(0, BLOCK), (BLOCK, BLOCK)]);
    assert_eq!(samples(u64::MAX).len(), 16);
    let size = 4 << 30;
    let samples = samples(size);
    assert_eq!(samples.len(), 16);
    for (n, (offset, length)) in samples.iter().enumerate() {
        assert_eq!((offset % BLOCK, *length), (0, BLOCK));
        let sixteenth = n as u64 * (size / 16)..(n as u64 + 1) * (size / 16);
        assert!(sixteenth.contains(offset), "{offset}");
    }
}

#[test]
fn changes_at_equal_distances_do_not_meet_all_samples() {
    const MIB: u64 = 1 << 20;
    let samples = samples(4 << 30);
    for distance in [2, 4, 8, 16, 32, 64, 100, 128, 256].map(|n| n * MIB) {
        // Half of the file at most, wherever that begins.
        for begin in (0..distance).step_by(distance as usize / 16) {
            let length = distance.div_ceil(64).max(MIB);
            let changed = |at: u64| (at + distance - begin) % distance < length;
            let same = samples.iter().filter(|(at, _)| !changed(*at)).count() as u64;
            assert!(is_worth(same, 16 - same), "{distance} from {begin}: {same}");
        }
    }
}

#[test]
fn a_file_of_which_little_is_left_goes_whole() {
    assert!(!is_worth(0, 0));
    assert!(!is_worth(0, 16));
    assert!(!is_worth(1, 15));
    assert!(is_worth(2, 14));
    assert!(is_worth(16, 0));
}

#[test]
fn neighbours_are_one_range() {
    let mut missing = Missing::default();
    missing.add(0, 10);
    missing.add(10, 5);
    missing.add(20, 5);
    assert_eq!(missing.wants(), [[(0, 15), (20, 5)]]);
    assert_eq!(Missing::default().wants(), Vec::<Vec<(u64, u64)>>::new());
}

proptest! {
    #[test]
    fn wants_are_bounded_and_ask_for_everything_once(
        ranges in proptest::collection::vec((1..3u64, 1..40_000_000u64), 0..50),
    ) {
        let (mut missing, mut at, mut bytes) = (Missing::default(), 0, 0);
        for (gap, length) in ranges {
            at += gap;
            missing.add(at, length);
            (at, bytes) = (at + length, bytes + length);
        }
        let wants = missing.wants();
        let mut behind = 0;
        for want in &wants {
            prop_assert!(!want.is_empty() && want.len() <= WANT_RANGES);
            prop_assert!(want.iter().map(|(_, length)| length).sum::<u64>() <= WANT_BYTES);
            for (offset, length) in want {
                prop_assert!(*offset >= behind && *length > 0);
                behind = offset + length;
            }
        }
        let asked: u64 = wants.iter().flatten().map(|(_, length)| length).sum();
        prop_assert_eq!(asked, bytes);
    }
}

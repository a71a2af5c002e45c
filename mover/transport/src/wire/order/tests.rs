use proptest::prelude::*;

use super::{Sequencer, Slot};

fn slot(dir: u64, part: u32, last: bool, names: &[u64]) -> Slot {
    Slot {
        dir,
        part,
        last,
        names: names.to_vec(),
    }
}

#[test]
fn a_piece_waits_for_the_one_that_names_its_directory() {
    let mut order = Sequencer::new();
    assert_eq!(
        order.push(slot(1, 0, true, &[2]), "1.0"),
        Vec::<&str>::new()
    );
    assert_eq!(order.push(slot(2, 0, true, &[]), "2.0"), Vec::<&str>::new());
    assert_eq!(
        order.push(slot(0, 0, true, &[1]), "0.0"),
        ["0.0", "1.0", "2.0"]
    );
    assert!(order.is_finished());
}

#[test]
fn pieces_of_a_directory_go_in_order() {
    let mut order = Sequencer::new();
    assert_eq!(order.push(slot(0, 1, true, &[]), 1), Vec::<i32>::new());
    assert!(!order.is_finished());
    assert_eq!(order.push(slot(0, 0, false, &[]), 0), [0, 1]);
    assert!(order.is_finished());
}

/// A tree of directories with several pieces each, as (dir, part, last, names).
fn tree(directories: u64, pieces: u32) -> Vec<(u64, u32, bool, Vec<u64>)> {
    let mut all = Vec::new();
    for dir in 0..directories {
        for part in 0..pieces {
            // Each directory names two: one in its first piece, one in its last.
            let child = match part {
                0 => dir * 2 + 1,
                last if last == pieces - 1 => dir * 2 + 2,
                _ => directories,
            };
            let names = if child < directories {
                vec![child]
            } else {
                Vec::new()
            };
            all.push((dir, part, part == pieces - 1, names));
        }
    }
    all
}

proptest! {
    #[test]
    fn whatever_the_order_every_piece_goes_once_and_after_what_it_needs(
        pieces in Just(tree(20, 3)).prop_shuffle(),
    ) {
        let mut order = Sequencer::new();
        let mut named = std::collections::HashMap::from([(0u64, 0u32)]);
        let mut gone = 0;
        for (dir, part, last, names) in pieces {
            let piece = (dir, part, names.clone());
            for (dir, part, names) in order.push(Slot { dir, part, last, names }, piece) {
                prop_assert_eq!(named.get(&dir), Some(&part));
                named.insert(dir, part + 1);
                named.extend(names.into_iter().map(|name| (name, 0)));
                gone += 1;
            }
        }
        prop_assert_eq!(gone, 60);
        prop_assert!(order.is_finished());
    }
}

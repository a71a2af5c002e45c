//! Names that a file system may take for one, because they differ only in the case of their letters.
//!
//! Which names those are is decided by each file system for itself; this is what they have in common. Names
//! that only one of them joins, by its own rules for composed characters, are found when they are made.

use std::borrow::Cow;
use std::collections::HashSet;

/// Returns what all spellings of a name have in common.
pub fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    if name.is_ascii() {
        return match name.iter().any(u8::is_ascii_uppercase) {
            true => name.to_ascii_lowercase().into(),
            false => name.into(),
        };
    }
    match std::str::from_utf8(name) {
        Ok(text) => text.to_lowercase().into_bytes().into(),
        Err(_) => name.to_ascii_lowercase().into(),
    }
}

/// Returns the positions of names whose folded form, told by its hash, another one has too.
pub fn rivals(folded: &[u64]) -> HashSet<usize> {
    let mut sorted: Vec<(u64, usize)> = folded.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let pairs = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    pairs.flat_map(|pair| [pair[0].1, pair[1].1]).collect()
}

/// Returns the hashes that come more than once.
pub fn repeated(mut folded: Vec<u64>) -> HashSet<u64> {
    folded.sort_unstable();
    let pairs = folded.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| pair[0]).collect()
}

/// Returns the positions of the hashes that are among others.
pub fn members(folded: &[u64], among: &HashSet<u64>) -> impl Iterator<Item = usize> {
    let found = folded.iter().enumerate();
    let found = found.filter(|(_, hash)| among.contains(hash));
    found.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::{fold, members, repeated, rivals};

    #[test]
    fn spellings_of_a_name_fold_to_the_same_and_other_names_do_not() {
        assert_eq!(fold(b"Makefile"), fold(b"makeFILE"));
        assert_eq!(fold("ÄRGER".as_bytes()), fold("ärger".as_bytes()));
        assert_eq!(fold(b"\xffA"), fold(b"\xffa"));
        assert_ne!(fold(b"a"), fold(b"b"));
        assert_ne!(fold(b"a"), fold(b"a "));
    }

    #[test]
    fn all_names_of_a_group_are_rivals() {
        assert!(rivals(&[]).is_empty());
        assert!(rivals(&[3, 1, 2]).is_empty());
        let mut found: Vec<usize> = rivals(&[5, 1, 5, 2, 5, 1]).into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 4, 5]);
    }
    #[test]
    fn what_names_share_finds_them_in_any_part() {
        let shared = repeated(vec![5, 1, 5, 2, 5, 1]);
        let mut found: Vec<u64> = shared.iter().copied().collect();
        found.sort_unstable();
        assert_eq!(found, [1, 5]);
        let positions = |part: &[u64]| members(part, &shared).collect::<Vec<_>>();
        assert_eq!(positions(&[2, 5]), [1]);
        assert_eq!(positions(&[1, 1, 2, 5]), [0, 1, 3]);
        assert_eq!(positions(&[2, 3]), [0; 0]);
    }
}

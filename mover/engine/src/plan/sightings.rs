//! How many names inodes of the destination had when a run first saw one of them.
//!
//! A file with a further name is not written into, because somebody else may mean it too. The names that it has become
//! fewer while the run replaces some of them; whether the last of them is still taken for somebody else's must not depend on
//! who was faster, or no dry run could say what a run does.
//!
//! Invariant: no more than [`MOST`] inodes are kept, since their other names may be where no run comes to. Of what is beyond
//! that a dry run may say something else than the run does.

use std::collections::HashMap;

use crate::entry::Inode;

/// Inodes that are kept: 6 MiB of them.
const MOST: usize = 200_000;

/// The inodes of which not all names were seen.
#[derive(Debug, Default)]
pub struct Sightings(HashMap<Inode, Sighting>);

#[derive(Debug)]
struct Sighting {
    had: u32,
    seen: u32,
}

impl Sightings {
    /// A name of `inode` was seen, which has `names` now; returns how many it had when the first was.
    pub fn see(&mut self, inode: Inode, names: u32) -> u32 {
        let Some(sighting) = self.0.get_mut(&inode) else {
            if names > 1 && self.0.len() < MOST {
                self.0.insert(
                    inode,
                    Sighting {
                        had: names,
                        seen: 1,
                    },
                );
            }
            return names;
        };
        sighting.seen += 1;
        let had = sighting.had;
        if sighting.seen == had {
            self.0.remove(&inode);
        }
        had
    }
}

#[cfg(test)]
mod tests {
    use super::Sightings;
    use crate::entry::Inode;

    fn inode(ino: u64) -> Inode {
        Inode { dev: (1, 2), ino }
    }

    #[test]
    fn every_name_of_an_inode_is_told_what_the_first_one_was() {
        let mut sightings = Sightings::default();
        assert_eq!(sightings.see(inode(1), 3), 3);
        assert_eq!(sightings.see(inode(2), 1), 1);
        // Two of them were replaced since.
        assert_eq!(sightings.see(inode(1), 2), 3);
        assert_eq!(sightings.see(inode(1), 1), 3);
        assert!(sightings.0.is_empty(), "nobody asks for it again");
    }
}

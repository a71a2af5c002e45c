//! Which names share an inode: groups of hard links, exact over workers and batches.
//!
//! The first name of a group that is planned leads: it is kept or made, and the others become links of it.
//! Invariant: an inode of the destination serves at most one group of the source. A leader that fails is
//! followed by the next name that waited.

use std::collections::HashMap;

use crate::entry::Inode;

/// Groups of the source, with `W` for a name that waits and `L` for where the leader is.
#[derive(Debug)]
pub struct Links<W, L> {
    groups: HashMap<Inode, Group<W, L>>,
    /// Which group an existing inode of the destination was kept for.
    claimed: HashMap<Inode, Inode>,
}

#[derive(Debug)]
enum Group<W, L> {
    Pending { waiting: Vec<W> },
    Ready { inode: Inode, leader: L },
}

/// What to do with a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Role<L> {
    /// It leads, and what exists under its name is right and stays.
    Kept,
    /// It leads and must be made.
    Lead,
    /// It is already a name of the group's inode.
    Linked,
    /// It must become a link of the leader.
    Link(L),
}

impl<W, L: Clone> Default for Links<W, L> {
    fn default() -> Self {
        Self {
            groups: HashMap::new(),
            claimed: HashMap::new(),
        }
    }
}

impl<W, L: Clone> Links<W, L> {
    /// Decides the role of `name`, a name of the source inode `group` at `place`. `existing` is the inode
    /// under that name at the destination; `keep` says that it could serve the group as it is. Returns the
    /// role with the name, or `None` where the leader is being made: then the name waits in here.
    pub fn join(
        &mut self,
        group: Inode,
        existing: Option<Inode>,
        keep: bool,
        name: W,
        place: L,
    ) -> Option<(Role<L>, W)> {
        let role = match self.groups.get_mut(&group) {
            Some(Group::Pending { waiting }) => {
                waiting.push(name);
                return None;
            }
            Some(Group::Ready { inode, .. }) if existing == Some(*inode) => Role::Linked,
            Some(Group::Ready { leader, .. }) => Role::Link(leader.clone()),
            None => {
                if let Some(inode) = existing.filter(|_| keep)
                    && *self.claimed.entry(inode).or_insert(group) == group
                {
                    self.groups.insert(
                        group,
                        Group::Ready {
                            inode,
                            leader: place,
                        },
                    );
                    return Some((Role::Kept, name));
                }
                self.groups.insert(
                    group,
                    Group::Pending {
                        waiting: Vec::new(),
                    },
                );
                Role::Lead
            }
        };
        Some((role, name))
    }

    /// The leader was made as `inode`; returns the names that waited.
    pub fn ready(&mut self, group: Inode, inode: Inode, leader: L) -> Vec<W> {
        self.claimed.insert(inode, group);
        match self.groups.insert(group, Group::Ready { inode, leader }) {
            Some(Group::Pending { waiting }) => waiting,
            Some(Group::Ready { .. }) | None => Vec::new(),
        }
    }

    /// The leader was found as it should be, as `inode`; returns the names that waited, or `None` if that
    /// inode serves another group: then the leader must be made.
    pub fn keep(&mut self, group: Inode, inode: Inode, leader: L) -> Option<Vec<W>> {
        if *self.claimed.entry(inode).or_insert(group) != group {
            return None;
        }
        Some(self.ready(group, inode, leader))
    }

    /// The leader could not be made; returns the name that leads now.
    pub fn failed(&mut self, group: Inode) -> Option<W> {
        match self.groups.get_mut(&group) {
            Some(Group::Pending { waiting }) if !waiting.is_empty() => Some(waiting.remove(0)),
            _ => {
                self.groups.remove(&group);
                None
            }
        }
    }

    /// The leader's inode can take no more names: the caller's name leads a new inode.
    pub fn full(&mut self, group: Inode) {
        self.groups.insert(
            group,
            Group::Pending {
                waiting: Vec::new(),
            },
        );
    }
}

#[cfg(test)]
mod tests;

//! Which names share an inode: groups of hard links, exact over workers and batches.
//!
//! The first name of a group that is planned leads: it is kept or made, and the others become links of it.
//! A leader that fails is followed by the next name that waited.
//!
//! A group with more names than an inode of the destination can have gets several. Whatever serves it already stays: which
//! name belongs to which inode would otherwise depend on the order in which they are planned, and no run would be the last.
//!
//! Invariants: an inode of the destination serves at most one group of the source, and at the end none that has names
//! besides those of its group. The latter shows only when all names were seen: an inode that is kept is unproven until as
//! many of its names were found as it has, and who runs this asks for those that stay so ([`Links::take_unproven`]).

use std::collections::HashMap;

use crate::entry::Inode;

/// Groups of the source, with `W` for a name that waits and `L` for where a name is.
#[derive(Debug)]
pub struct Links<W, L> {
    groups: HashMap<Inode, Group<W, L>>,
    /// Which group an existing inode of the destination was kept for.
    claimed: HashMap<Inode, Inode>,
    /// Inodes that were kept and may have names that are not the group's.
    unproven: HashMap<Inode, Unproven<L>>,
}

#[derive(Debug)]
enum Group<W, L> {
    Pending { waiting: Vec<W> },
    Ready { inode: Inode, leader: L },
}

/// What has a name at the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Existing {
    /// Its inode.
    pub inode: Inode,
    /// Number of names that the inode has.
    pub names: u32,
}

/// What the inode that has a name of a group could be to the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// Nothing: it is something else.
    Not,
    /// The group's, if no other name of the group was there before.
    Only,
    /// One of the group's: no inode can have as many names as the group.
    OneOfSeveral,
}

/// An inode of the destination that was kept for a group, with some of its names not seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Unproven<L> {
    /// Number of names that the inode had when the first was found.
    pub had: u32,
    /// Names of the group that it had; the first one leads.
    pub found: Vec<L>,
    /// Names of the group that were made links of it since.
    pub linked: Vec<L>,
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
    /// It must become a link of the leader, of which this is the inode.
    Link(L, Inode),
}

impl<W, L: Clone> Default for Links<W, L> {
    fn default() -> Self {
        Self {
            groups: HashMap::new(),
            claimed: HashMap::new(),
            unproven: HashMap::new(),
        }
    }
}

impl<W, L: Clone> Links<W, L> {
    /// Decides the role of `name`, a name of the source inode `group` at `place`. `existing` is what is
    /// under that name at the destination; `fit` says what that could be to the group. Returns the role with
    /// the name, or `None` where the leader is being made: then the name waits in here.
    pub fn join(
        &mut self,
        group: Inode,
        existing: Option<Existing>,
        fit: Fit,
        name: W,
        place: L,
    ) -> Option<(Role<L>, W)> {
        let keep = fit != Fit::Not;
        let role = match self.groups.get_mut(&group) {
            Some(Group::Pending { waiting }) => {
                waiting.push(name);
                return None;
            }
            Some(Group::Ready { inode, leader }) => {
                let (inode, leader) = (*inode, leader.clone());
                match existing {
                    Some(existing) if self.serves(existing.inode, group, inode, fit) => {
                        self.found(existing.inode, place);
                        Role::Linked
                    }
                    Some(existing)
                        if fit == Fit::OneOfSeveral && self.claim(group, existing, &place) =>
                    {
                        Role::Kept
                    }
                    _ => Role::Link(leader, inode),
                }
            }
            None => {
                if let Some(existing) = existing.filter(|_| keep)
                    && self.keep(group, existing, place).is_some()
                {
                    return Some((Role::Kept, name));
                }
                let waiting = Vec::new();
                self.groups.insert(group, Group::Pending { waiting });
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

    /// The leader was found as it should be; returns the names that waited, or `None` if its inode serves
    /// another group: then the leader must be made.
    pub fn keep(&mut self, group: Inode, existing: Existing, leader: L) -> Option<Vec<W>> {
        self.claim(group, existing, &leader)
            .then(|| self.ready(group, existing.inode, leader))
    }

    /// Takes an inode that is there for a group, unless it serves another one.
    fn claim(&mut self, group: Inode, existing: Existing, name: &L) -> bool {
        let Existing { inode, names } = existing;
        if *self.claimed.entry(inode).or_insert(group) != group {
            return false;
        }
        if names > 1 {
            let unproven = Unproven {
                had: names,
                found: vec![name.clone()],
                linked: Vec::new(),
            };
            self.unproven.insert(inode, unproven);
        }
        true
    }

    /// Returns true if an inode is the one that leads a group, or one of the several that serve it.
    fn serves(&self, inode: Inode, group: Inode, leading: Inode, fit: Fit) -> bool {
        let is_one = || fit == Fit::OneOfSeveral && self.claimed.get(&inode) == Some(&group);
        inode == leading || is_one()
    }

    /// Another name of the group was found to be one of its `inode` already.
    pub fn found(&mut self, inode: Inode, name: L) {
        let Some(unproven) = self.unproven.get_mut(&inode) else {
            return;
        };
        unproven.found.push(name);
        if unproven.found.len() == unproven.had as usize {
            self.unproven.remove(&inode);
        }
    }

    /// A name was made a link of the group's `inode`.
    pub fn linked(&mut self, inode: Inode, name: L) {
        if let Some(unproven) = self.unproven.get_mut(&inode) {
            unproven.linked.push(name);
        }
    }

    /// All names were seen: returns the inodes that were kept and have, or had, others.
    pub fn take_unproven(&mut self) -> HashMap<Inode, Unproven<L>> {
        std::mem::take(&mut self.unproven)
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
        let waiting = Vec::new();
        self.groups.insert(group, Group::Pending { waiting });
    }
}

#[cfg(test)]
mod tests;

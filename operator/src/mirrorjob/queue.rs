//! Whose turn it is to get movers. Pure.
//!
//! Movers are limited by node and in all. Jobs that are ready to start stand in one line: the namespace with the fewest movers
//! comes first, then the oldest job. A job may start when what it needs is free after everybody before it has got theirs; so a
//! job that needs a full node keeps nobody waiting who needs another one, and nobody passes it on that node.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

#[cfg(test)]
mod tests;

/// The limits of the administrator; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Movers on one node.
    pub per_node: u32,
    /// Movers in all.
    pub total: u32,
}

/// Where one mover of a job may run: on one of these nodes, or anywhere if absent.
pub type Choice = Option<Vec<String>>;

/// A job that stands in line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// UID of the job.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// When it was made.
    pub created: Timestamp,
    /// A choice for each of its movers.
    pub movers: Vec<Choice>,
}

/// Movers that exist or are about to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// By node, as far as that is known.
    pub by_node: BTreeMap<String, u32>,
    /// By namespace.
    pub by_namespace: BTreeMap<String, u32>,
    /// All of them.
    pub total: u32,
}

/// The place of a job in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may start.
    Now,
    /// It has to wait at this place, from 1.
    Wait(i32),
}

impl Load {
    /// Returns the node with the fewest movers among those where one may run.
    pub fn least<'a>(&self, choice: &'a Choice) -> Option<&'a str> {
        let nodes = choice.as_ref()?.iter();
        let node = nodes.min_by_key(|node| self.by_node.get(*node).copied().unwrap_or(0))?;
        Some(node)
    }

    /// Counts a mover.
    pub fn add(&mut self, namespace: &str, node: Option<&str>) {
        if let Some(node) = node {
            *self.by_node.entry(node.to_owned()).or_default() += 1;
        }
        *self.by_namespace.entry(namespace.to_owned()).or_default() += 1;
        self.total += 1;
    }
}

/// Returns the turn of every job in the line.
pub fn turns(line: &[Candidate], load: &Load, limits: Limits) -> HashMap<String, Turn> {
    let mut load = load.clone();
    let mut left: Vec<&Candidate> = line.iter().collect();
    let mut turns = HashMap::new();
    let mut place = 0;
    while let Some(next) = pick(&left, &load) {
        let candidate = left.swap_remove(next);
        let fits = take(candidate, &mut load, limits);
        let turn = if fits {
            Turn::Now
        } else {
            place += 1;
            Turn::Wait(place)
        };
        turns.insert(candidate.uid.clone(), turn);
    }
    turns
}

/// The next in line: of the namespace with the fewest movers, the oldest.
fn pick(left: &[&Candidate], load: &Load) -> Option<usize> {
    let rank = |candidate: &Candidate| {
        let movers = load.by_namespace.get(&candidate.namespace).copied();
        (
            movers.unwrap_or(0),
            candidate.created,
            candidate.uid.clone(),
        )
    };
    (0..left.len()).min_by_key(|index| rank(left[*index]))
}

/// Takes what a job needs, even if it is not there: nobody behind it may have it. Says whether it was.
fn take(candidate: &Candidate, load: &mut Load, limits: Limits) -> bool {
    let mut fits = true;
    for choice in &candidate.movers {
        let node = load.least(choice);
        load.add(&candidate.namespace, node);
        let on_node = node.and_then(|node| load.by_node.get(node)).copied();
        fits &= limits.per_node == 0 || on_node.is_none_or(|movers| movers <= limits.per_node);
        fits &= limits.total == 0 || load.total <= limits.total;
    }
    fits
}

//! The jobs that stand in line for movers, and those that have some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::mirrorjob::queue::{Candidate, Choice, Limits, Load, Turn, turns};
use crate::workqueue::JobKey;

/// Who waits for movers and who has them. A job is in one of the two at most.
#[derive(Debug)]
pub(crate) struct Line {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<String, (JobKey, Candidate)>,
    held: BTreeMap<String, (String, Vec<Choice>)>,
}

impl Line {
    /// Makes an empty line.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Lets a job stand in line, or changes what it needs. Says whether it is its turn.
    pub(crate) fn stand(&self, key: &JobKey, candidate: Candidate) -> Turn {
        let mut state = self.lock();
        let uid = candidate.uid.clone();
        state.waiting.insert(uid.clone(), (key.clone(), candidate));
        state.turn(&uid, self.limits)
    }

    /// Returns the turn of a job, if it stands in line.
    pub(crate) fn turn(&self, uid: &str) -> Option<Turn> {
        let state = self.lock();
        state
            .waiting
            .contains_key(uid)
            .then(|| state.turn(uid, self.limits))
    }

    /// Gives a job its movers if it is its turn, and takes it out of the line.
    pub(crate) fn take(&self, uid: &str) -> bool {
        let mut state = self.lock();
        if state.turn(uid, self.limits) != Turn::Now {
            return false;
        }
        if let Some((key, candidate)) = state.waiting.remove(uid) {
            state
                .held
                .insert(uid.to_owned(), (key.namespace, candidate.movers));
        }
        true
    }

    /// Notes the movers that a job has already.
    pub(crate) fn hold(&self, uid: &str, namespace: &str, movers: Vec<Choice>) {
        let mut state = self.lock();
        state.waiting.remove(uid);
        state
            .held
            .entry(uid.to_owned())
            .or_insert_with(|| (namespace.to_owned(), movers));
    }

    /// Takes note of the nodes on which the movers of a job are. One that has yet to come keeps its choice.
    pub(crate) fn refine(&self, uid: &str, nodes: Vec<Choice>) {
        if let Some((_, movers)) = self.lock().held.get_mut(uid)
            && nodes.len() >= movers.len()
        {
            *movers = nodes;
        }
    }

    /// Returns how many jobs have movers or stand in line.
    pub(crate) fn len(&self) -> usize {
        let state = self.lock();
        state.held.len() + state.waiting.len()
    }

    /// Whether a job has movers, or is about to.
    pub(crate) fn holds(&self, uid: &str) -> bool {
        self.lock().held.contains_key(uid)
    }

    /// Takes the movers of a job back and takes it out of the line. Returns those whose turn it is now.
    pub(crate) fn leave(&self, uid: &str) -> Vec<JobKey> {
        let mut state = self.lock();
        let held = state.held.remove(uid).is_some();
        let waited = state.waiting.remove(uid).is_some();
        if held || waited {
            state.called(self.limits)
        } else {
            Vec::new()
        }
    }

    /// Returns the UIDs of the jobs that have movers.
    pub(crate) fn active(&self) -> BTreeSet<String> {
        self.lock().held.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&self, uid: &str, limits: Limits) -> Turn {
        self.turns(limits).get(uid).copied().unwrap_or(Turn::Now)
    }

    fn called(&self, limits: Limits) -> Vec<JobKey> {
        let turns = self.turns(limits);
        self.waiting
            .iter()
            .filter(|(uid, _)| turns.get(*uid) == Some(&Turn::Now))
            .map(|(_, (key, _))| key.clone())
            .collect()
    }

    fn turns(&self, limits: Limits) -> std::collections::HashMap<String, Turn> {
        let mut load = Load::default();
        for (namespace, movers) in self.held.values() {
            for choice in movers {
                let node = load.least(choice).map(str::to_owned);
                load.add(namespace, node.as_deref());
            }
        }
        let waiting: Vec<Candidate> = self
            .waiting
            .values()
            .map(|(_, candidate)| candidate.clone())
            .collect();
        turns(&waiting, &load, limits)
    }
}

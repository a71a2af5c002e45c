//! What happens while a test does something else: every version of a job's status, and who wrote when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, watcher::watch_object};
use tokio::task::JoinHandle;

use super::job::Status;
use super::namespace::Namespace;
use super::pod::is_gone;

/// Records until it is asked or dropped.
pub struct Recorder<T> {
    found: Arc<Mutex<T>>,
    task: JoinHandle<()>,
}

/// The movers that wrote to a destination.
#[derive(Clone, Debug, Default)]
pub struct Writers {
    running: BTreeSet<String>,
    /// All that ran at some time, in the order in which they were seen first.
    pub seen: Vec<String>,
    /// Movers that ran at the same time.
    pub clashes: Vec<Vec<String>>,
}

impl<T> Drop for Recorder<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Clone> Recorder<T> {
    /// Returns what was recorded so far.
    pub fn so_far(&self) -> T {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Namespace {
    /// Records every version of a job's status from now on.
    pub fn record_status(&self, job: &str) -> Recorder<Vec<Status>> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let into = found.clone();
        let stream = watch_object::<DynamicObject>(self.jobs(), job).default_backoff();
        let task = tokio::spawn(stream.for_each(move |object| {
            if let Ok(Some(object)) = object {
                let mut found = into.lock().unwrap_or_else(PoisonError::into_inner);
                found.push(Status::of(&object));
            }
            std::future::ready(())
        }));
        Recorder { found, task }
    }

    /// Records which movers that write the destination of a job run, from now on.
    pub fn record_writers(&self, job: &str) -> Recorder<Writers> {
        let found = Arc::new(Mutex::new(Writers::default()));
        let into = found.clone();
        let labels = format!("blit.dev/mirrorjob={job},blit.dev/side in (destination,local)");
        let config = watcher::Config::default().labels(&labels);
        let stream = watcher(self.api::<Pod>(), config).default_backoff();
        let task = tokio::spawn(stream.for_each(move |event| {
            let mut writers = into.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => writers.see(&pod),
                Ok(Event::Delete(pod)) => drop(writers.running.remove(&pod.name_any())),
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
            std::future::ready(())
        }));
        Recorder { found, task }
    }
}

impl Namespace {
    /// Records the largest number of movers that were on one node at one time, in all namespaces.
    pub fn record_movers_together(&self) -> Recorder<usize> {
        let found = Arc::new(Mutex::new(0));
        let into = found.clone();
        let config = watcher::Config::default().labels("blit.dev/job-uid");
        let stream = watcher(self.cluster.all::<Pod>(), config).default_backoff();
        let mut nodes = BTreeMap::new();
        let task = tokio::spawn(stream.for_each(move |event| {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    let key = (pod.namespace(), pod.name_any());
                    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
                    match node {
                        Some(node) if !is_gone(Some(&pod)) => drop(nodes.insert(key, node)),
                        _ => drop(nodes.remove(&key)),
                    }
                }
                Ok(Event::Delete(pod)) => drop(nodes.remove(&(pod.namespace(), pod.name_any()))),
                Ok(Event::Init | Event::InitDone) | Err(_) => {}
            }
            let mut counts = BTreeMap::<&String, usize>::new();
            for node in nodes.values() {
                *counts.entry(node).or_default() += 1;
            }
            let most = counts.into_values().max().unwrap_or(0);
            let mut found = into.lock().unwrap_or_else(PoisonError::into_inner);
            *found = most.max(*found);
            std::future::ready(())
        }));
        Recorder { found, task }
    }
}

impl Writers {
    fn see(&mut self, pod: &Pod) {
        let name = pod.name_any();
        let status = pod.status.as_ref();
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let running = containers.into_iter().flatten().any(|container| {
            let state = container.state.as_ref();
            state.is_some_and(|state| state.running.is_some())
        });
        if !running {
            self.running.remove(&name);
            return;
        }
        if !self.seen.contains(&name) {
            self.seen.push(name.clone());
        }
        self.running.insert(name);
        let together: Vec<String> = self.running.iter().cloned().collect();
        if together.len() > 1 && self.clashes.last() != Some(&together) {
            self.clashes.push(together);
        }
    }
}

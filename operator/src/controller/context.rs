//! What every pass needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Client;

use super::cache::{self, Cache};
use super::line::Line;
use super::watch::{self, Feed};
use crate::authority::OperatorIdentity;
use crate::events::Publisher;
use crate::follow::Followers;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::mirrorjob::apply::Writer;
use crate::mirrorjob::build::MoverFacts;
use crate::mirrorjob::queue::Limits;
use crate::mirrorjob::status::Verdict;
use crate::settings::Settings;
use crate::workqueue::{JobKey, WorkQueue};

/// When a pass that knew too little is repeated.
pub(crate) const STALE: Duration = Duration::from_millis(200);
/// Shortest time between two looks at something that a job waits for; it doubles.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// Longest time between two looks at something that a job waits for.
const LAST_PATIENCE: Duration = Duration::from_secs(30);

/// What the controller is made of.
pub struct Parts {
    /// Client of the API server.
    pub client: Client,
    /// What the administrator says.
    pub settings: Settings,
    /// Namespace of the operator.
    pub namespace: String,
    /// Whether this replica leads.
    pub leadership: Arc<Leadership>,
    /// Who the operator is for movers.
    pub identity: OperatorIdentity,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where events go.
    pub publisher: Arc<Publisher>,
}

/// What every pass needs.
pub struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) writer: Writer,
    pub(crate) cache: Cache,
    pub(crate) queue: Arc<WorkQueue<JobKey>>,
    pub(crate) line: Line,
    pub(crate) followers: Followers,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) mover: MoverFacts,
    identity: Mutex<OperatorIdentity>,
    feeds: Mutex<Vec<Feed>>,
    notes: Mutex<BTreeMap<String, Notes>>,
    known: Mutex<BTreeMap<JobKey, String>>,
    starting: Mutex<()>,
}

/// What is remembered of a job between two passes. Nothing of it is missed after a restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// When its status was written last.
    pub written: Option<Instant>,
    /// When it was looked for somebody who needs its volumes.
    pub looked: Option<Instant>,
    /// What it waits for, and how often that was looked at.
    pub waits: Option<(String, u32)>,
    /// Pods of which it was measured how long they took to run.
    pub measured: BTreeSet<String>,
    /// How often it was seen without the attempt that is known to have begun.
    pub stale: u32,
    /// Why its movers were asked to end.
    pub verdict: Option<Verdict>,
}

impl Context {
    /// Puts a controller together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let (cache, feeds) = watch::stores(&parts.settings.watch_namespaces);
        let queue = Arc::new(WorkQueue::new());
        let notified = Arc::clone(&queue);
        let limits = Limits {
            per_node: parts.settings.mover.max_per_node,
            total: parts.settings.mover.max_total,
        };
        Arc::new(Self {
            writer: Writer::new(parts.client.clone(), Arc::clone(&parts.leadership)),
            mover: mover_facts(&parts.settings, &parts.namespace),
            line: Line::new(limits),
            followers: Followers::new(parts.identity.clone(), move |key| notified.add(key)),
            identity: Mutex::new(parts.identity),
            client: parts.client,
            settings: parts.settings,
            cache,
            queue,
            metrics: parts.metrics,
            publisher: parts.publisher,
            feeds: Mutex::new(feeds),
            notes: Mutex::default(),
            known: Mutex::default(),
            starting: Mutex::default(),
        })
    }

    /// Ends the work: no pass begins any more.
    pub fn stop(&self) {
        self.queue.shutdown();
    }

    /// Takes another identity, for the attempts and connections to come.
    pub fn set_identity(&self, identity: OperatorIdentity) {
        self.followers.set_identity(identity.clone());
        *lock(&self.identity) = identity;
    }

    /// Returns the certificate by which movers know the operator.
    pub(crate) fn operator_ca(&self) -> String {
        lock(&self.identity).ca_pem.clone()
    }

    pub(crate) fn take_feeds(&self) -> Vec<Feed> {
        std::mem::take(&mut *lock(&self.feeds))
    }

    /// Reads or changes what is remembered of a job.
    pub(crate) fn notes<T>(&self, uid: &str, change: impl FnOnce(&mut Notes) -> T) -> T {
        change(lock(&self.notes).entry(uid.to_owned()).or_default())
    }

    /// Lets nobody else decide on a start until the guard is dropped.
    pub(crate) fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        lock(&self.starting)
    }

    /// Remembers that there is a job, so that its end is noticed, and the end of an earlier one of its name.
    pub(crate) fn remember(&self, key: &JobKey, uid: &str) {
        let before = lock(&self.known).insert(key.clone(), uid.to_owned());
        if let Some(before) = before.filter(|before| before != uid) {
            self.metrics.forget(&key.namespace, &key.name);
            self.forget_uid(&before);
        }
    }

    /// Forgets a job that does not exist any more.
    pub(crate) fn forget(&self, key: &JobKey) {
        let known = lock(&self.known).remove(key);
        if let Some(uid) = known {
            self.metrics.forget(&key.namespace, &key.name);
            self.forget_uid(&uid);
        }
    }

    /// Forgets what is remembered of one UID, and wakes those whose turn it is then.
    pub(crate) fn forget_uid(&self, uid: &str) {
        self.followers.forget(uid);
        lock(&self.notes).remove(uid);
        self.leave_line(uid);
    }

    /// Takes back the movers of a job, and wakes those whose turn it is now.
    pub(crate) fn leave_line(&self, uid: &str) {
        for key in self.line.leave(uid) {
            self.queue.add(key);
        }
    }

    /// Looks at every job that is known.
    pub(crate) fn look_at_all(&self) {
        let known: Vec<JobKey> = lock(&self.known).keys().cloned().collect();
        for key in known {
            self.queue.add(key);
        }
        for job in self.cache.jobs() {
            self.queue.add(cache::key(&job));
        }
    }

    /// Returns when to look again at what a job waits for: longer each time, as long as it is the same.
    pub(crate) fn patience(&self, uid: &str, waits_for: &str) -> Duration {
        let times = self.notes(uid, |notes| {
            let times = match notes.waits.take() {
                Some((same, times)) if same == waits_for => times.saturating_add(1),
                _ => 0,
            };
            notes.waits = Some((waits_for.to_owned(), times));
            times
        });
        FIRST_PATIENCE
            .saturating_mul(2_u32.saturating_pow(times.min(8)))
            .min(LAST_PATIENCE)
    }
}

fn mover_facts(settings: &Settings, namespace: &str) -> MoverFacts {
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(selector(&[("kubernetes.io/metadata.name", namespace)])),
        pod_selector: Some(selector(&[
            ("app.kubernetes.io/name", "blit"),
            ("app.kubernetes.io/component", "operator"),
        ])),
        ip_block: None,
    };
    let followers = settings.network_policy.enabled.then(|| {
        let others = settings.network_policy.extra_peers.iter().cloned();
        [operator].into_iter().chain(others).collect()
    });
    let priority = settings.mover.priority_class_name.clone();
    MoverFacts {
        image_pull_secrets: settings.image_pull_secrets.clone(),
        resources: settings.mover.resources.clone(),
        priority_class_name: (!priority.is_empty()).then_some(priority),
        control_port: settings.ports.control,
        data_port: settings.ports.data,
        followers,
        keep_results: true,
        ..MoverFacts::of_image(&settings.image)
    }
}

fn selector(labels: &[(&str, &str)]) -> LabelSelector {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    LabelSelector {
        match_labels: Some(labels.collect()),
        ..LabelSelector::default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What an explanation follows from. Pure.

use std::collections::BTreeMap;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Destination, MirrorJobStatus, Side, Source};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};

use super::super::text::duration;

/// What was found in the cluster. What the caller may not read is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The pods of the job.
    pub(super) movers: Vec<Pod>,
    /// Other pods of the namespace.
    pub(super) others: Vec<Pod>,
    /// The claims of the namespace, by name.
    pub(super) claims: Option<BTreeMap<String, PersistentVolumeClaim>>,
    /// The events of the job, its pods and its claims, the oldest first.
    pub(super) events: Vec<Event>,
    /// The pods of operators, in all namespaces.
    pub(super) operators: Option<Vec<Pod>>,
    /// What could not be read, and why.
    pub(super) unseen: Vec<String>,
}

/// A job and what surrounds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    /// The job.
    pub(super) job: &'a MirrorJob,
    /// Its status, or an empty one.
    pub(super) status: &'a MirrorJobStatus,
    /// What surrounds it.
    pub(super) facts: &'a Facts,
    /// The time.
    pub(super) now: Timestamp,
}

impl Case<'_> {
    /// Returns the name of the job.
    pub(super) fn name(&self) -> &str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns the namespace of the job.
    pub(super) fn namespace(&self) -> &str {
        self.job.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the claim of a side.
    pub(super) fn claim(&self, side: Side) -> Option<&str> {
        claim(self.job, side)
    }

    /// Returns the names of the claims of the job, each once.
    pub(super) fn claims(&self) -> Vec<&str> {
        claims(self.job)
    }

    /// Returns how old the job is.
    pub(super) fn age(&self) -> SignedDuration {
        let made = self.job.metadata.creation_timestamp.as_ref();
        made.map_or(SignedDuration::ZERO, |made| self.now.duration_since(made.0))
    }

    /// Returns the pods, other than movers, that use a claim and have not ended.
    pub(super) fn users(&self, claim: &str) -> Vec<&Pod> {
        let others = self.facts.others.iter();
        others
            .filter(|pod| !has_ended(pod) && mounts(pod, claim))
            .collect()
    }

    /// Returns the warnings about an object, each once, the latest last.
    pub(super) fn warnings(&self, kind: &str, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let events = self.facts.events.iter().filter(|event| {
            let of = &event.involved_object;
            event.type_.as_deref() == Some("Warning")
                && of.kind.as_deref() == Some(kind)
                && of.name.as_deref() == Some(name)
        });
        for event in events {
            let reason = event.reason.as_deref().unwrap_or_default();
            let message = event.message.as_deref().unwrap_or_default().trim();
            let text = format!("{reason}: {message}");
            found.retain(|known| *known != text);
            found.push(text);
        }
        found.drain(..found.len().saturating_sub(WARNINGS));
        found
    }

    /// Returns how long ago something was, in words.
    pub(super) fn ago(&self, time: Timestamp) -> String {
        format!("{} ago", duration(self.now.duration_since(time)))
    }
}

/// Warnings shown of one object.
const WARNINGS: usize = 3;

/// Returns the claim of a side of a job.
pub(super) fn claim(job: &MirrorJob, side: Side) -> Option<&str> {
    match (side, &job.spec.source, &job.spec.destination) {
        (Side::Source, Source::PersistentVolumeClaim(claim), _) => Some(&claim.claim_name),
        (Side::Destination, _, Destination::PersistentVolumeClaim(claim)) => {
            Some(&claim.claim_name)
        }
        _ => None,
    }
}

/// Returns the names of the claims of a job, each once.
pub(super) fn claims(job: &MirrorJob) -> Vec<&str> {
    let mut names: Vec<&str> = Side::ALL
        .into_iter()
        .filter_map(|side| claim(job, side))
        .collect();
    names.dedup();
    names
}

/// Returns when an event was last seen.
pub(super) fn seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref();
    let series = series.and_then(|series| series.last_observed_time.as_ref().map(|time| time.0));
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let made = event.metadata.creation_timestamp.as_ref();
    series
        .or(last)
        .or(first)
        .or_else(|| made.map(|time| time.0))
}

/// Returns the name of a pod.
pub(super) fn pod_name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Returns whether a pod is Ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn mounts(pod: &Pod, claim: &str) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let mut volumes = volumes.into_iter().flatten();
    volumes.any(|volume| {
        let source = volume.persistent_volume_claim.as_ref();
        source.is_some_and(|source| source.claim_name == claim)
    })
}

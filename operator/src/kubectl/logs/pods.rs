//! The pods of a job, and which of them are meant. Pure.

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use crate::kubectl::cli::SideOption;
use crate::mirrorjob::build::MoverKind;
use crate::mirrorjob::build::labels;

/// A mover of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mover {
    /// Its attempt.
    pub(super) attempt: u32,
    /// What it does.
    pub(super) kind: MoverKind,
    /// Its pod.
    pub(super) pod: String,
}

/// Which movers are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// The attempt; any if absent.
    pub(super) attempt: Option<u32>,
    /// The side; both if absent.
    pub(super) side: Option<SideOption>,
}

/// Whether a mover has a log by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It writes.
    Growing,
    /// It has ended.
    Ended,
    /// It has not begun, and this is what the kubelet says.
    NotYet(String),
}

impl Mover {
    /// Reads what a pod is, from its labels.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let side = labels::side(pod)?;
        let mut kinds = MoverKind::ALL.into_iter();
        Some(Self {
            attempt: labels::attempt(pod)?,
            kind: kinds.find(|kind| kind.as_str() == side)?,
            pod: pod.metadata.name.clone()?,
        })
    }
}

impl Choice {
    /// Returns whether a mover is meant. One that has both volumes belongs to either side.
    pub(super) fn includes(self, mover: &Mover) -> bool {
        let side = match (self.side, mover.kind) {
            (None, _) | (_, MoverKind::Local) => true,
            (Some(side), MoverKind::Source) => side == SideOption::Source,
            (Some(side), MoverKind::Destination) => side == SideOption::Destination,
        };
        side && self.attempt.is_none_or(|attempt| attempt == mover.attempt)
    }
}

/// Returns the movers that are meant, with their pods: of the last attempt that has any, unless one is named.
pub(super) fn chosen(pods: &[Pod], choice: Choice) -> Vec<(Mover, &Pod)> {
    let movers = || pods.iter().filter_map(|pod| Some((Mover::of(pod)?, pod)));
    let last = movers().map(|(mover, _)| mover.attempt).max();
    let choice = Choice {
        attempt: choice.attempt.or(last),
        ..choice
    };
    movers()
        .filter(|(mover, _)| choice.includes(mover))
        .collect()
}

/// Returns whether a mover has a log.
pub(super) fn log(pod: &Pod) -> Log {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let container = containers
        .into_iter()
        .flatten()
        .find(|container| container.name == labels::CONTAINER);
    let state = container.and_then(|container| container.state.as_ref());
    match state {
        Some(ContainerState {
            terminated: Some(_),
            ..
        }) => Log::Ended,
        Some(ContainerState {
            running: Some(_), ..
        }) => Log::Growing,
        Some(ContainerState {
            waiting: Some(waiting),
            ..
        }) => {
            let reason = waiting.reason.clone().unwrap_or_default();
            Log::NotYet(match &waiting.message {
                Some(message) => format!("{reason}: {message}"),
                None => reason,
            })
        }
        _ => {
            let phase = status.and_then(|status| status.phase.clone());
            match phase.as_deref() {
                // A pod can fail before the kubelet has made a container.
                Some("Failed" | "Succeeded") => Log::Ended,
                phase => Log::NotYet(phase.unwrap_or("Pending").to_owned()),
            }
        }
    }
}

//! What the pods of an attempt say about their movers. Pure.
//!
//! A pod carries the finalizer [`RESULT_FINALIZER`] until its result is in the status of the job, so
//! whoever deletes it, and however, its last word can be read. A mover counts as ended only when nothing of
//! it can run any more: its container has terminated, it never got a node, or Kubernetes gave it up with its node.

use blit_crds::mirrorjob::Side;
use blit_crds::outcome::{ExitCode, Reason, TerminationMessage};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::build::labels;
use super::placement::Wait;

#[cfg(test)]
mod tests;

/// Keeps a pod until its result is in the status of the job.
pub const RESULT_FINALIZER: &str = "blit.dev/result";

/// Messages of Kubernetes are cut to this many characters.
const MAX_MESSAGE: usize = 700;

/// The pods of one attempt.
#[derive(Clone, Debug, Default)]
pub struct Movers<'a> {
    /// The pod that reads, where there are two.
    pub source: Option<&'a Pod>,
    /// The pod that writes; it does both where there is only one.
    pub destination: Option<&'a Pod>,
    /// Whether one pod does both.
    pub alone: bool,
}

/// What is seen of one mover.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MoverState {
    /// There is no pod.
    #[default]
    Absent,
    /// The pod does not run yet.
    Waiting(Option<Wait>),
    /// The pod runs.
    Running(Running),
    /// The pod has ended, for good.
    Ended(Ended),
}

/// A mover at work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Name of the node.
    pub node: String,
    /// Address of the pod, once it has one.
    pub address: Option<std::net::IpAddr>,
    /// Whether it listens.
    pub ready: bool,
    /// Whether it was asked to end.
    pub leaving: bool,
}

/// How a mover ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// Node of the pod.
    pub node: Option<String>,
    /// When, where the kubelet said.
    pub at: Option<Timestamp>,
    /// Exit code of the container, if it got one.
    pub exit_code: Option<i32>,
    /// Its last word, if it got to say one.
    pub message: Option<Box<TerminationMessage>>,
    /// What Kubernetes did to the pod, where that is why it ended: out of memory or disrupted.
    pub killed: Option<Reason>,
}

impl<'a> Movers<'a> {
    /// Picks the pods of an attempt.
    pub fn of(pods: impl IntoIterator<Item = &'a Pod>, attempt: u32) -> Self {
        let mut movers = Self::default();
        for pod in pods.into_iter().filter(|pod| number(pod) == Some(attempt)) {
            match labels::side(pod) {
                Some(labels::SOURCE) => movers.source = Some(pod),
                Some(labels::DESTINATION) => movers.destination = Some(pod),
                Some(labels::LOCAL) => {
                    movers.destination = Some(pod);
                    movers.alone = true;
                }
                _ => {}
            }
        }
        movers
    }

    /// Returns whether there is no pod.
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.destination.is_none()
    }

    /// Returns every pod.
    pub fn pods(&self) -> impl Iterator<Item = &'a Pod> {
        [self.destination, self.source].into_iter().flatten()
    }

    /// Returns the pod of a side; one that does both is the destination's.
    pub fn pod(&self, side: Side) -> Option<&'a Pod> {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }

    /// Returns what is seen of the mover of a side.
    pub fn state(&self, side: Side) -> MoverState {
        self.pod(side).map_or(MoverState::Absent, state)
    }
}

/// Returns the attempt that a pod belongs to.
pub fn number(pod: &Pod) -> Option<u32> {
    labels::attempt(pod)
}

/// Returns the node of a pod.
pub fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Returns when the container of a pod began to run.
pub fn started(pod: &Pod) -> Option<Timestamp> {
    let state = container(pod)?;
    Some(state.running?.started_at?.0)
}

/// Returns whether a pod is being deleted.
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Says what a pod tells about its mover. A pod whose node was lost ends when Kubernetes says so, and not before: the
/// node may only have lost its way to the API server.
pub fn state(pod: &Pod) -> MoverState {
    let status = pod.status.clone().unwrap_or_default();
    let node = node(pod).map(str::to_owned);
    let container = container(pod).unwrap_or_default();
    let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    if let Some(terminated) = container.terminated.as_ref().filter(|_| over) {
        let killed = match terminated.reason.as_deref() {
            Some("OOMKilled") => Some(Reason::OomKilled),
            // Written by the node when it comes back and finds nothing of the container.
            Some("ContainerStatusUnknown") => Some(Reason::PodDisrupted),
            _ => disruption(pod).or_else(|| {
                // Killed after somebody deleted the pod and its grace was over.
                let told = u8::try_from(terminated.exit_code)
                    .ok()
                    .and_then(ExitCode::from_code);
                (is_leaving(pod) && told.is_none()).then_some(Reason::PodDisrupted)
            }),
        };
        return MoverState::Ended(Ended {
            node,
            at: terminated.finished_at.as_ref().map(|time| time.0),
            exit_code: Some(terminated.exit_code),
            message: terminated
                .message
                .as_deref()
                .and_then(|text| TerminationMessage::from_json(text).ok())
                .map(Box::new),
            killed,
        });
    }
    // Without a node no kubelet will ever start it, and with a deletion no scheduler gives it one.
    let unborn = node.is_none() && is_leaving(pod);
    if over || unborn {
        return MoverState::Ended(Ended {
            node,
            killed: disruption(pod)
                .or_else(|| waiting(pod, &container).map(|wait| wait.reason))
                .or(Some(Reason::PodDisrupted)),
            ..Ended::default()
        });
    }
    // The kubelet ends the pod a moment after its container; only then its volumes are free.
    match (
        container.running.is_some() || container.terminated.is_some(),
        node,
    ) {
        (true, Some(node)) => MoverState::Running(Running {
            node,
            address: status.pod_ip.as_deref().and_then(|ip| ip.parse().ok()),
            ready: condition(pod, "Ready").is_some_and(|(value, _, _)| value == "True"),
            leaving: is_leaving(pod),
        }),
        _ => MoverState::Waiting(waiting(pod, &container)),
    }
}

/// State of the container of a mover.
fn container(pod: &Pod) -> Option<ContainerState> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    let found = all.iter().find(|status| status.name == labels::CONTAINER)?;
    found.state.clone()
}

/// Why a pod was ended from outside, where Kubernetes says so.
fn disruption(pod: &Pod) -> Option<Reason> {
    let disrupted = condition(pod, "DisruptionTarget").is_some_and(|(value, _, _)| value == "True");
    let evicted = pod
        .status
        .as_ref()
        .and_then(|status| status.reason.as_deref())
        .is_some_and(|reason| matches!(reason, "Evicted" | "NodeLost" | "Shutdown" | "Terminated"));
    (disrupted || evicted).then_some(Reason::PodDisrupted)
}

/// What a pod that does not run waits for, where that is more than a moment's work of the kubelet.
fn waiting(pod: &Pod, container: &ContainerState) -> Option<Wait> {
    if let Some(waiting) = &container.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let told = waiting.message.as_deref().unwrap_or_default();
        match reason {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                return Some(wait(
                    Reason::ImageUnavailable,
                    format!(
                        "the image of the mover cannot be pulled ({reason}: {told}); check the values image.repository, \
                         image.digest and image.pullSecrets of the chart, or spec.mover.imagePullSecrets"
                    ),
                ));
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                return Some(wait(
                    Reason::PodRejected,
                    format!(
                        "the node cannot start the mover ({reason}: {told}); see the events of the pod"
                    ),
                ));
            }
            _ => {}
        }
    }
    match condition(pod, "PodScheduled") {
        Some((value, reason, told)) if value == "False" && reason == "Unschedulable" => Some(wait(
            Reason::Unschedulable,
            format!(
                "no node takes the mover: {told}; the nodes of its volumes and spec.mover.nodeSelector, affinity, tolerations \
                     and resources must leave one"
            ),
        )),
        _ => None,
    }
}

/// Value, reason and message of a condition of a pod.
fn condition(pod: &Pod, type_: &str) -> Option<(String, String, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|known| known.type_ == type_)?;
    Some((
        found.status.clone(),
        found.reason.clone().unwrap_or_default(),
        found.message.clone().unwrap_or_default(),
    ))
}

/// A message that is too long for a status is cut.
pub(crate) fn wait(reason: Reason, message: impl Into<String>) -> Wait {
    let message: String = message.into();
    let message = match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    };
    Wait { reason, message }
}

//! What was read of the cluster, as far as a job is concerned.
//!
//! Plain data: the functions that decide take it, and tests write it down. An absent list means that the
//! operator may not read it; an empty one means that there is nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{NodeSelector, SELinuxOptions, Taint, Toleration};

/// The cluster around one job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Value of the annotation `blit.dev/pod-security` of the job's namespace.
    pub pod_security: Option<String>,
    /// Those of the job's claims that exist, by name.
    pub claims: BTreeMap<String, Claim>,
    /// Pods that use one of the job's claims and have not ended, without the movers of the job itself.
    pub pods: Vec<ClaimPod>,
    /// All nodes; absent without the right to read them.
    pub nodes: Option<Vec<Node>>,
}

/// A claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// Whether it has a volume.
    pub phase: ClaimPhase,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The modes that it asks for.
    pub access_modes: Vec<String>,
    /// The modes that its volume has; empty before it is bound.
    pub volume_modes: Vec<String>,
    /// Whether it is a block device without a file system.
    pub block: bool,
    /// Its storage class, if it has one.
    pub storage_class: Option<String>,
    /// When its storage class makes volumes.
    pub binding: Binding,
    /// Name of its volume.
    pub volume_name: Option<String>,
    /// Its volume; absent before it is bound and without the right to read volumes.
    pub volume: Option<Volume>,
}

/// Whether a claim has a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimPhase {
    /// Not yet.
    #[default]
    Pending,
    /// It has.
    Bound,
    /// It had, and the volume is gone.
    Lost,
}

/// When a storage class makes volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// The operator may not read storage classes.
    #[default]
    Unknown,
    /// The claim names no storage class, so only a volume made by hand can fit it.
    NoClass,
    /// The storage class does not exist.
    ClassNotFound,
    /// At once.
    Immediate,
    /// When a pod that uses the claim is scheduled.
    WaitForFirstConsumer,
}

/// A persistent volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    /// The nodes that can reach it; all if absent.
    pub node_affinity: Option<NodeSelector>,
    /// Whether it is mounted read-only whatever the pod says.
    pub read_only: bool,
    /// Nodes to which it is attached and not about to be detached. Only looked up for volumes that can be
    /// attached to one node at a time.
    pub attached_to: BTreeSet<String>,
}

/// A pod that uses claims of the job and has not ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimPod {
    /// Its name.
    pub name: String,
    /// Those of the job's claims that it uses.
    pub claims: BTreeSet<String>,
    /// The UID of the MirrorJob whose mover it is, if it is one.
    pub mover_of: Option<String>,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// How far it is.
    pub state: PodState,
    /// User of the container that mounts the claim, if it is not root.
    pub user: Option<i64>,
    /// Its tolerations, without those for the states that Kubernetes itself gives nodes.
    pub tolerations: Vec<Toleration>,
    /// SELinux options of the container that mounts the claim.
    pub se_linux_options: Option<SELinuxOptions>,
}

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It has no node. The message is the scheduler's, once it has tried.
    Unscheduled {
        /// Why no node fits.
        message: Option<String>,
    },
    /// It has a node, and none of its containers was started.
    Starting {
        /// Whether its volumes and its network are there, so that it waits for something else.
        sandbox_ready: bool,
    },
    /// At least one of its containers was started.
    Running,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it was cordoned.
    pub unschedulable: bool,
    /// Whether its kubelet says that it is ready.
    pub ready: bool,
}

impl Default for PodState {
    fn default() -> Self {
        Self::Unscheduled { message: None }
    }
}

impl World {
    /// Returns a node by its name; absent too if nodes may not be read.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.as_ref()?.iter().find(|node| node.name == name)
    }
}

impl Claim {
    /// Says whether pods of one node only can use the claim.
    pub fn is_of_one_node(&self) -> bool {
        let modes = self.modes();
        let shared = ["ReadWriteMany", "ReadOnlyMany"];
        !modes.is_empty() && !modes.iter().any(|mode| shared.contains(&mode.as_str()))
    }

    /// Says whether a single pod only can use the claim. That is what the claim asks for, not its volume.
    pub fn is_of_one_pod(&self) -> bool {
        self.access_modes
            .iter()
            .any(|mode| mode == "ReadWriteOncePod")
    }

    /// Says whether the claim can only be mounted read-only.
    pub fn is_read_only(&self) -> bool {
        let only_read =
            |modes: &[String]| !modes.is_empty() && modes.iter().all(|mode| mode == "ReadOnlyMany");
        only_read(&self.access_modes)
            || only_read(&self.volume_modes)
            || self.volume.as_ref().is_some_and(|volume| volume.read_only)
    }

    /// Kubernetes goes by the modes of the volume once there is one.
    fn modes(&self) -> &[String] {
        if self.volume_modes.is_empty() {
            &self.access_modes
        } else {
            &self.volume_modes
        }
    }
}

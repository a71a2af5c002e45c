//! Where the movers of a job may run, and in how many pods.
//!
//! The nodes of a side are those that its volume can reach. An attempt is one pod where a single node
//! fits both sides. Pure: the same job in the same [`World`] has the same placement.

mod claims;
mod constraint;
mod nodes;
mod settings;
#[cfg(test)]
mod tests;
mod unscheduled;

use std::collections::BTreeSet;

use blit_crds::mirrorjob::{PodSecurity, PodSettings, Side};
use blit_crds::outcome::Reason;
use k8s_openapi::api::core::v1::Toleration;

pub(super) use claims::waits_for_one_pod;
pub use unscheduled::explain_unscheduled;

use self::constraint::{Constraint, common, usable};
use super::build::PlaceFacts;
use super::dereference::{Claim, ClaimPod, World};
use super::validate::ValidatedJob;

/// Nodes that stand in the affinity of a pod at most: each is a term of its own.
const LISTED: usize = 16;
/// Bytes of a message at most.
const MAX_MESSAGE: usize = 1024;

/// Where the movers of the next attempt may run.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// In how many pods.
    pub pods: Pods,
    /// The place of the source.
    pub source: Place,
    /// The place of the destination.
    pub destination: Place,
}

/// In how many pods an attempt runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// One that mounts both volumes. The facts of both sides are the same then, but for `read_only`.
    One,
    /// One for each side.
    Two,
}

/// The place of one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// What the pod of this side is made from.
    pub facts: PlaceFacts,
    /// Name of the volume, once the claim has one.
    pub volume: Option<String>,
}

/// Why there is no placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPlaced {
    /// Not now: the job waits until the cause is gone.
    Wait(Wait),
    /// Never: the job fails as Invalid.
    Refuse {
        /// What cannot be, and the remedy.
        message: String,
    },
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The word that the MirrorJob shows; of class waiting.
    pub reason: Reason,
    /// Cause and remedy, with the names of the objects; at most 1 KiB.
    pub message: String,
}

impl Placement {
    /// Returns the place of a side.
    pub fn of(&self, side: Side) -> &Place {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }
}

impl From<Wait> for NotPlaced {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

/// Finds out where the movers may run. `alone_refused` says that no node took the one pod of this attempt for
/// a while, so that two pods are to be tried where they could run on more nodes.
///
/// # Errors
/// Fails with what the job waits for, or why it can never run.
pub fn place(
    job: &ValidatedJob,
    world: &World,
    alone_refused: bool,
) -> Result<Placement, NotPlaced> {
    let source = Found::of(job, Side::Source, world)?;
    let destination = Found::of(job, Side::Destination, world)?;
    let same_claim = job.claim(Side::Source).is_some()
        && job.claim(Side::Source) == job.claim(Side::Destination);
    if same_claim || can_share(job, &source, &destination) {
        let both = source.with(&destination);
        match both.settle(job, Side::Destination, "movers", world) {
            // Two pods of volumes that are bound to this very node would be where the one is.
            Ok(nodes)
                if same_claim
                    || !alone_refused
                    || source.is_pinned() && destination.is_pinned() =>
            {
                return Ok(one_pod(&source, &destination, &both, nodes));
            }
            Err(wait) if same_claim => return Err(wait.into()),
            // Apart they may still find nodes.
            Ok(_) | Err(_) => {}
        }
    }
    let settle = |found: &Found, side: Side| {
        let nodes = found.settle(job, side, &format!("{side} mover"), world)?;
        Ok::<_, NotPlaced>(found.place(nodes.listed()))
    };
    Ok(Placement {
        pods: Pods::Two,
        source: settle(&source, Side::Source)?,
        destination: settle(&destination, Side::Destination)?,
    })
}

/// What was found out about the place of one side, or of both together.
struct Found {
    constraints: Vec<Constraint>,
    facts: PlaceFacts,
    volume: Option<String>,
}

/// The nodes of a pod.
struct Nodes {
    /// Those that its volumes leave; absent for any.
    volumes: Option<BTreeSet<String>>,
}

impl Nodes {
    /// Returns the nodes, unless they are so many that the scheduler, which knows the volumes too, had better
    /// find one of them itself.
    fn listed(&self) -> Option<Vec<String>> {
        let nodes = self.volumes.as_ref()?;
        (nodes.len() <= LISTED).then(|| nodes.iter().cloned().collect())
    }
}

impl Found {
    fn of(job: &ValidatedJob, side: Side, world: &World) -> Result<Self, NotPlaced> {
        let Some(name) = job.claim(side) else {
            return Ok(Self {
                constraints: host_path(job, side, world)?.into_iter().collect(),
                facts: PlaceFacts::default(),
                volume: None,
            });
        };
        let constraints = claims::constraints(job, side, name, world)?;
        let claim = world.claims.get(name);
        let users: Vec<&ClaimPod> = claim
            .into_iter()
            .flat_map(|claim| claims::users(name, claim, world))
            .collect();
        let workloads = || users.iter().filter(|pod| pod.mover_of.is_none());
        let mut tolerations = Vec::new();
        for pod in &users {
            add_tolerations(&mut tolerations, &pod.tolerations);
        }
        Ok(Self {
            constraints,
            facts: PlaceFacts {
                nodes: None,
                read_only: side == Side::Source && claim.is_some_and(Claim::is_read_only),
                user: workloads().find_map(|pod| pod.user),
                tolerations,
                se_linux_options: workloads().find_map(|pod| pod.se_linux_options.clone()),
            },
            volume: claim.and_then(|claim| claim.volume_name.clone()),
        })
    }

    /// Says whether the volume leaves one node.
    fn is_pinned(&self) -> bool {
        let nodes = common("mover", &self.constraints);
        nodes.is_ok_and(|nodes| nodes.is_some_and(|nodes| nodes.len() == 1))
    }

    /// Returns what holds for a pod that has both volumes.
    fn with(&self, other: &Self) -> Self {
        let mut both = Self {
            constraints: self.constraints.clone(),
            facts: self.facts.clone(),
            volume: None,
        };
        let further = other.constraints.iter();
        let further = further.filter(|constraint| !self.constraints.contains(constraint));
        both.constraints.extend(further.cloned());
        both.facts.user = both.facts.user.or(other.facts.user);
        both.facts.se_linux_options = both
            .facts
            .se_linux_options
            .or_else(|| other.facts.se_linux_options.clone());
        add_tolerations(&mut both.facts.tolerations, &other.facts.tolerations);
        both
    }

    /// Finds the nodes, with the settings of a side, and makes sure that one of them takes the pod now.
    fn settle(
        &self,
        job: &ValidatedJob,
        side: Side,
        who: &str,
        world: &World,
    ) -> Result<Nodes, Wait> {
        let settings = job.pod(side);
        let volumes = common(who, &self.constraints)?;
        let mut all = self.constraints.clone();
        all.extend(settings::constraints(&settings, world));
        let wanted = common(who, &all)?;
        let mut tolerations = settings.tolerations.unwrap_or_default();
        add_tolerations(&mut tolerations, &self.facts.tolerations);
        usable(who, wanted.as_ref(), &tolerations, world)?;
        Ok(Nodes { volumes })
    }

    fn place(&self, nodes: Option<Vec<String>>) -> Place {
        Place {
            facts: PlaceFacts {
                nodes,
                ..self.facts.clone()
            },
            volume: self.volume.clone(),
        }
    }
}

fn one_pod(source: &Found, destination: &Found, both: &Found, nodes: Nodes) -> Placement {
    let of = |side: &Found| Place {
        facts: PlaceFacts {
            nodes: nodes.listed(),
            read_only: side.facts.read_only,
            ..both.facts.clone()
        },
        volume: side.volume.clone(),
    };
    Placement {
        pods: Pods::One,
        source: of(source),
        destination: of(destination),
    }
}

/// Says whether the two sides may be one pod: whatever a pod has only once must be the same for both. An fsGroup
/// may be set only on a pod that has the destination alone, so it needs one of its own.
fn can_share(job: &ValidatedJob, source: &Found, destination: &Found) -> bool {
    let settings = |side| PodSettings {
        resources: None,
        ..job.pod(side)
    };
    let context = settings(Side::Destination).security_context;
    let context = context.unwrap_or_default();
    // Above Restricted movers are root, and what the user says goes before what the pods say.
    let user_is_known = job.pod_security(Side::Destination) != PodSecurity::Restricted
        || context.run_as_user.is_some();
    let (of_source, of_destination) = (&source.facts, &destination.facts);
    job.pod_security(Side::Source) == job.pod_security(Side::Destination)
        && settings(Side::Source) == settings(Side::Destination)
        && context.fs_group.is_none()
        && (user_is_known || agree(&of_source.user, &of_destination.user))
        && (context.se_linux_options.is_some()
            || agree(
                &of_source.se_linux_options,
                &of_destination.se_linux_options,
            ))
}

fn agree<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// A hostPath is on its node and nowhere else.
fn host_path(job: &ValidatedJob, side: Side, world: &World) -> Result<Option<Constraint>, Wait> {
    let Some((node, _)) = job.host_path(side) else {
        return Ok(None);
    };
    if world.nodes.is_some() && world.node(node).is_none() {
        return Err(wait(
            Reason::Unschedulable,
            format!(
                "node `{node}` of spec.{side}.hostPath does not exist; make the job with one of the names that `kubectl \
                 get nodes` shows"
            ),
        ));
    }
    Ok(Some(Constraint {
        nodes: [node.to_owned()].into(),
        cause: format!("spec.{side}.hostPath is on"),
        remedy: format!("make the job with another spec.{side}.hostPath"),
    }))
}

fn add_tolerations(tolerations: &mut Vec<Toleration>, further: &[Toleration]) {
    for toleration in further {
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
}

/// Makes what a job waits for, its message cut to the length of a status.
pub(super) fn wait(reason: Reason, mut message: String) -> Wait {
    if message.len() > MAX_MESSAGE {
        let mut end = MAX_MESSAGE - '…'.len_utf8();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    Wait { reason, message }
}

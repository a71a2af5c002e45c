//! Where the movers of a job may run, and in how many pods.
//!
//! The nodes of a side are those that its volume can reach. An attempt is one pod where a single node
//! fits both sides. Pure: the same job in the same [`World`] has the same placement.

use blit_crds::mirrorjob::Side;
use blit_crds::outcome::Reason;

use super::build::PlaceFacts;

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

//! Step one: what the cluster says about the places of a job.

mod world;

pub use world::{Binding, Claim, ClaimPhase, ClaimPod, Node, PodState, Volume, World};

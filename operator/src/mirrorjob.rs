//! The steps of the work on one `MirrorJob`.
//!
//! [`dereference`] reads what the job refers to, [`validate`] turns the object into a [`validate::ValidatedJob`] or says why it
//! is refused, [`placement`] finds the nodes, [`build`] makes the objects of an attempt, [`apply`] writes them, and [`status`] says
//! what became of it. [`step`] decides which of this is due. All but [`dereference`] and [`apply`] are pure.

pub mod apply;
pub mod attempt;
pub mod build;
pub mod claimants;
pub mod conflict;
pub mod dereference;
pub mod placement;
pub mod queue;
pub mod status;
pub mod step;
pub mod validate;

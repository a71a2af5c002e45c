//! What a run tells the outside: progress lines, JSON events, the progress RPC, the status of a MirrorJob,
//! the last word of a pod. This is the one place that turns events of the engine into any of them.
//!
//! Flow: [`reporter::Reporter`] translates an event into a [`record::Record`]; an [`output::Output`] does
//! something with it. `blit run` reads the records of its movers and feeds them into the same outputs.
//!
//! Invariants: figures come from one shape, [`figures::Figures`]; a percentage exists only once the scan is
//! complete; diagnostics go to stderr, events to stdout.
//!
//! Non-goals: deciding anything about a run; keeping history.

pub mod differences;
pub mod figures;
pub mod itemized;
pub mod json;
pub mod live;
pub mod output;
pub mod rate;
pub mod record;
pub mod relay;
pub mod reporter;
pub mod rpc;
pub mod status;
pub mod summary;
pub mod terminal;
pub mod termination;
pub mod text;

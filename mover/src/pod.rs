//! One side of a MirrorJob, or both, as a pod runs it, or `blit run` as a process.
//!
//! Responsibility: from the command line of a mover to its exit code. Events go to stdout, diagnostics to
//! stderr, the last word to the termination message file. A mover needs nobody to watch it.
//!
//! Invariants: every way to end, but wrong arguments, writes the termination message; SIGTERM ends the run
//! cleanly; nothing moves for longer than the progress deadline.
//!
//! Non-goals: more than one session.

mod destination;
mod error;
mod local;
pub mod parent;
mod side;
mod source;
pub mod watchdog;

pub use destination::run as run_destination;
pub(crate) use error::code_of_session;
pub use local::run as run_local;
pub use source::run as run_source;

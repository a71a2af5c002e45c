//! How a mover ends: its exit code, what that means, and its last word.
//!
//! The exit code is the contract between the movers, the operator and scripts. [`ExitCode`] is the one
//! table of codes with meaning and remedy, from which the documentation is generated; [`Reason`] is
//! the word that a `MirrorJob` shows; [`TerminationMessage`] is what a mover leaves behind.

mod exit_code;
mod reason;
mod termination;
#[cfg(test)]
mod tests;

pub use exit_code::{ExitCode, of_attempt};
pub use reason::{Class, Reason};
pub use termination::{Guard, MAX_TERMINATION_MESSAGE, TerminationMessage};

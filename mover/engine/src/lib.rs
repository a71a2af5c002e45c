//! Everything about files: walking trees, comparing them, copying, deleting.
//!
//! One pipeline, one direction: the *destination* runs [`run::run`]. It asks a [`run::Listing`] for what
//! the source holds, compares it with its own side, fetches bytes from a [`run::Content`], writes,
//! deletes and reports. Locally both are a [`tree::LocalSource`]; between hosts they are a session of
//! `blit-transport`, which uses the same `LocalSource` on the other end.
//!
//! Invariants:
//! - Below a root nothing is opened by path: only names relative to directory handles, never through a
//!   symbolic link ([`fs`]).
//! - A file is never incomplete under its final name, and neither is a new directory ([`apply`]).
//! - Nothing is deleted below a directory whose source listing was incomplete, and nothing before the
//!   guard has approved the whole count ([`plan`]).
//!
//! Non-goals: network, Kubernetes, argument parsing, terminal output.

mod activity;
pub mod apply;
pub mod entry;
pub mod filter;
pub mod fs;
pub mod plan;
pub mod run;
pub mod tree;
pub mod watch;

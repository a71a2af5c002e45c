//! Tests of Blit from outside: nothing here shares code with what it judges.
//!
//! - [`oracle`] says whether one tree is an exact mirror of another: rsync, and a comparer of its own.
//! - [`tree`] makes trees of every kind of entry, at random or by list; [`mutate`] changes them.
//! - [`snapshot`] tells whether anything at all was touched, directory times and inodes included.
//! - [`area`], [`process`], [`trace`] and [`sandbox`] give tests a file system, a program under watch, its
//!   system calls, and some that it is refused.
//! - [`network`] is two hosts with a cable between them that can be blocked, cut and slowed down.
//! - [`faulty`] is a file system that fails, hangs, answers late, cuts times or folds case.
//! - [`cluster`] is a real Kubernetes of two nodes, with a namespace for each test.
//!
//! Invariants: no crate of Blit is a dependency; what a test needs and the machine lacks is an error that
//! says what to install, never a skipped test; whatever is random has a seed that a failure prints
//! ([`seed`]).
//!
//! Non-goals: timing (figures are benchmarks) and mocking.

pub mod area;
pub mod cluster;
pub mod error;
pub mod faulty;
pub mod mutate;
pub mod network;
pub mod oracle;
pub mod process;
pub mod sandbox;
pub mod seed;
pub mod snapshot;
pub mod trace;
pub mod tree;
mod walk;
mod xattr;

//! Runs of the whole engine on real directories.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod arriving;
mod attempts;
mod checksum;
mod full;
mod harness;
mod holes;
mod links;
mod mirror;
mod panics;
mod special_files;

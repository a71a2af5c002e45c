//! Runs of the whole engine on real directories.

mod harness;
mod mirror;

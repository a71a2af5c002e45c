//! Writing: one file, directory, link or attribute at a time.
//!
//! Invariant: what has a final name is complete. A file is written under a temporary name, or inside a
//! directory that itself has one, and gets its attributes before its name; the time of its last change
//! is set last, so that it marks a finished file wherever a killed run left it.

pub(crate) mod attributes;
pub(crate) mod file;
pub(crate) mod folders;
pub(crate) mod leftovers;
pub(crate) mod node;
pub(crate) mod remove;

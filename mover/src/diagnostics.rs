//! Looks at this machine, and at what earlier runs took on it. Nothing here is part of a run.

pub mod perf;
pub mod probe;
pub mod profile;
mod table;

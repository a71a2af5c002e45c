//! Looks at this machine, at what earlier runs took on it, and at the way to another. Nothing here is part of a run.

pub mod connect;
pub mod perf;
pub mod probe;
pub mod profile;
mod table;

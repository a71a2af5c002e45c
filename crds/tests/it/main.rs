//! What the repository holds against what this crate says.

mod committed;
mod examples;
mod hostile_manifests;
mod operations;
mod schema;

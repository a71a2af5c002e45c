//! What the repository holds against what this crate says.

mod committed;
mod examples;
mod operations;
mod schema;

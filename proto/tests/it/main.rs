//! What the repository holds against what this crate says.

mod documented;

//! Decisions, as pure functions: no file, clock or thread is touched here.

pub mod began;
pub mod blocks;
pub mod compare;
pub mod fast_path;
pub mod guard;
pub mod heartbeat;
pub mod itemize;
pub mod links;
pub mod names;
pub mod predictor;
pub mod rivals;
pub mod sightings;
pub mod stall;
pub mod workers;
pub mod young;

//! The keys that wait to be worked on.

//! What the program `blit-operator` promises at its edge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chart;
mod render;

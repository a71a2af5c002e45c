//! Text for people: lines of styled words that fit a width, and figures in words. Pure.
//!
//! Invariant: what comes from the cluster cannot move the cursor or change colours; control characters are escaped
//! when a [`Line`] takes a text.

mod figures;
mod line;
mod table;
#[cfg(test)]
mod tests;

pub(super) use figures::{bytes, count, counted, duration, rate, stamp};
pub(super) use line::{Line, Style, Text};
pub(super) use table::Table;

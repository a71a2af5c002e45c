//! Lines of movers as they are printed. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::event::sentence;
use super::merge::Stamped;
use super::pods::Mover;
use crate::kubectl::text::{Line, Style, Text, stamp};
use crate::mirrorjob::build::MoverKind;

/// Of the figures that a mover writes every second, one in this time is shown.
const FIGURES_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// Makes text of lines, and knows which figures were shown.
#[derive(Debug, Default)]
pub(super) struct Printer {
    attempt: Option<u32>,
    figures: BTreeMap<Mover, Timestamp>,
}

impl Printer {
    /// Returns what is to be printed for a line of a mover, if anything is.
    pub(super) fn print(&mut self, mover: &Mover, line: &Stamped) -> Option<Text> {
        let said = sentence(&line.line);
        let time = said.time.unwrap_or(line.time);
        if said.is_progress {
            let shown = self.figures.get(mover);
            if shown.is_some_and(|shown| time.duration_since(*shown) < FIGURES_EVERY) {
                return None;
            }
            self.figures.insert(mover.clone(), time);
        }
        let mut text = Text::default();
        if self.attempt != Some(mover.attempt) {
            let title = format!("attempt {}", mover.attempt);
            text.push(Line::cut().and(title, Style::Strong));
            self.attempt = Some(mover.attempt);
        }
        let style = match mover.kind {
            MoverKind::Source => Style::Source,
            MoverKind::Destination | MoverKind::Local => Style::Destination,
        };
        text.push(
            Line::default()
                .and(format!("{:<11} ", mover.kind.as_str()), style)
                .and(format!("{} ", stamp(time)), Style::Dim)
                .and(said.text, said.style),
        );
        Some(text)
    }
}

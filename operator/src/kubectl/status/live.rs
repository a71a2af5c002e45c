//! A block of text that is redrawn where it stands. Pure: [`Frame`] says what to write.

use console::measure_text_width;

use crate::kubectl::text::{Line, Style, Text};

/// What stands on the screen.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Columns of each row that was drawn.
    drawn: Vec<usize>,
}

impl Frame {
    /// Returns what to write so that `text` replaces what was drawn before, on a terminal of `columns` and `rows`.
    /// What has no room is left out at the end: a block higher than the screen cannot be drawn over.
    pub(super) fn draw(
        &mut self,
        text: &Text,
        (columns, rows): (usize, usize),
        colour: bool,
    ) -> String {
        // The last column stays free: some terminals go to the next row there.
        let width = columns.saturating_sub(1).max(1);
        let room = rows.saturating_sub(1).max(1);
        let mut plain = text.rows(Some(width), false);
        let mut shown = text.rows(Some(width), colour);
        if plain.len() > room {
            let more = Line::cut().and("… the rest is below this window", Style::Dim);
            let mut last = Text::default();
            last.push(more);
            plain.truncate(room - 1);
            shown.truncate(room - 1);
            plain.extend(last.rows(Some(width), false));
            shown.extend(last.rows(Some(width), colour));
        }
        let mut out = self.erase(columns);
        for row in shown {
            out.push_str(&row);
            // What an earlier row left is wiped out, and no moment is there at which the row is empty.
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.drawn = plain.iter().map(|row| measure_text_width(row)).collect();
        out
    }

    /// Returns what moves the cursor to where the block begins. A terminal that was made narrower has broken its
    /// rows.
    pub(super) fn erase(&self, columns: usize) -> String {
        let up: usize = self
            .drawn
            .iter()
            .map(|row| row.div_ceil(columns.max(1)).max(1))
            .sum();
        if up == 0 {
            String::new()
        } else {
            format!("\x1b[{up}A\r")
        }
    }
}

//! Columns as wide as their widest cell.

use console::measure_text_width;

use super::line::{Line, Style, Text};

/// Spaces between columns.
const GAP: usize = 3;

/// A table.
#[derive(Debug)]
pub(in crate::kubectl) struct Table<const N: usize> {
    indent: usize,
    heads: [&'static str; N],
    rows: Vec<([String; N], usize, Style)>,
}

impl<const N: usize> Table<N> {
    /// Begins a table that is indented by some columns.
    pub(in crate::kubectl) fn new(indent: usize, heads: [&'static str; N]) -> Self {
        Self {
            indent,
            heads,
            rows: Vec::new(),
        }
    }

    /// Adds a row, its last cell in a style.
    pub(in crate::kubectl) fn row(&mut self, cells: [String; N], style: Style) {
        self.styled_row(cells, N.saturating_sub(1), style);
    }

    /// Adds a row, one of its cells in a style.
    pub(in crate::kubectl) fn styled_row(
        &mut self,
        cells: [String; N],
        styled: usize,
        style: Style,
    ) {
        self.rows.push((cells, styled, style));
    }

    /// Returns the lines.
    pub(in crate::kubectl) fn text(self) -> Text {
        let mut widths = self.heads.map(str::len);
        for (cells, _, _) in &self.rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(measure_text_width(cell));
            }
        }
        let indent = " ".repeat(self.indent);
        let mut text = Text::default();
        let mut head = Line::cut().plain(&indent);
        for (cell, width) in self.heads.iter().zip(widths) {
            head = head.and(padded(cell, width), Style::Dim);
        }
        text.push(head);
        for (cells, styled, style) in &self.rows {
            let mut line = Line::cut().plain(&indent);
            for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let style = if at == *styled { *style } else { Style::Plain };
                line = line.and(padded(cell, width), style);
            }
            text.push(line);
        }
        text
    }
}

fn padded(cell: &str, width: usize) -> String {
    let spaces = (width + GAP).saturating_sub(measure_text_width(cell));
    format!("{cell}{}", " ".repeat(spaces))
}

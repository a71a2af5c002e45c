//! Tables of text for people. Pure.

/// Space between two columns.
const GAP: &str = "  ";

/// How a column is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// Sets rows under a heading. Rows have as many cells as the heading.
pub(crate) fn table(heading: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(heading[column].0.chars().count())
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let set: Vec<_> = cells
            .zip(&widths)
            .zip(heading)
            .map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        format!("{}\n", set.join(GAP).trim_end())
    };
    let mut text = line(&mut heading.iter().map(|(name, _)| *name));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let heading = [("what", Align::Left), ("n", Align::Right)];
        let rows = ["é|7", "longer|1234"].map(|row| row.split('|').map(str::to_owned).collect());
        let expected = "what       n\né          7\nlonger  1234\n";
        assert_eq!(table(&heading, &rows), expected);
    }
}

//! Lines of styled words, broken to a width.

use console::measure_text_width;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kubectl) enum Style {
    /// As the terminal does by itself.
    #[default]
    Plain,
    /// What matters most.
    Strong,
    /// What matters least.
    Dim,
    /// As it should be.
    Good,
    /// Not as it should be, but going on.
    Warn,
    /// Failed.
    Bad,
    /// The source, where the two sides are told apart.
    Source,
    /// The destination.
    Destination,
}

impl Style {
    /// The parameters of the escape sequence that switches it on.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Dim => Some("2"),
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
            Self::Source => Some("36"),
            Self::Destination => Some("35"),
        }
    }
}

/// One line, as long as it likes to be.
#[derive(Clone, Debug, Default)]
pub(in crate::kubectl) struct Line {
    spans: Vec<(String, Style)>,
    /// Columns by which what does not fit is indented below; absent where it is cut off instead.
    hang: Option<usize>,
}

impl Line {
    /// Begins a line that is cut off where it does not fit.
    pub(in crate::kubectl) fn cut() -> Self {
        Self::default()
    }

    /// Begins a line that goes on below, indented by `columns`, where it does not fit.
    pub(in crate::kubectl) fn hanging(columns: usize) -> Self {
        Self {
            hang: Some(columns),
            ..Self::default()
        }
    }

    /// Has the line cut off, whatever it began as.
    pub(in crate::kubectl) fn in_one_row(mut self) -> Self {
        self.hang = None;
        self
    }

    /// Adds text.
    pub(in crate::kubectl) fn and(mut self, text: impl AsRef<str>, style: Style) -> Self {
        self.spans.push((escaped(text.as_ref()), style));
        self
    }

    /// Adds text without a style.
    pub(in crate::kubectl) fn plain(self, text: impl AsRef<str>) -> Self {
        self.and(text, Style::Plain)
    }

    /// Breaks or cuts the line to a width.
    fn fit(&self, width: usize) -> Vec<Self> {
        match self.hang {
            // Where the indentation leaves no room, there is none.
            Some(hang) if hang + 8 > width => self.wrap(width, 0),
            Some(hang) => self.wrap(width, hang),
            None => vec![self.shorten(width)],
        }
    }

    fn shorten(&self, width: usize) -> Self {
        if self.columns() <= width {
            return self.clone();
        }
        let mut room = width.saturating_sub(1);
        let mut line = Self::default();
        for (text, style) in &self.spans {
            let (head, rest) = split_at_columns(text, room);
            room -= measure_text_width(head);
            line.spans.push((head.to_owned(), *style));
            if !rest.is_empty() {
                break;
            }
        }
        line.spans.push(("…".to_owned(), Style::Plain));
        line
    }

    fn wrap(&self, width: usize, hang: usize) -> Vec<Self> {
        let width = width.max(1);
        let mut lines = vec![Self::default()];
        let mut used = 0;
        for (text, style) in &self.spans {
            for word in text.split_inclusive(' ') {
                let bare = word.trim_end_matches(' ');
                if used > hang && used + measure_text_width(bare) > width {
                    lines.push(Self::indented(hang));
                    used = hang;
                }
                let mut rest = word;
                // What fits no line at all is broken anywhere.
                while used + measure_text_width(rest.trim_end_matches(' ')) > width {
                    let (head, tail) = split_at_columns(rest, width - used);
                    let (head, tail) = if head.is_empty() {
                        let end = rest.chars().next().map_or(0, char::len_utf8);
                        rest.split_at(end)
                    } else {
                        (head, tail)
                    };
                    push(&mut lines, head, *style);
                    rest = tail;
                    if rest.is_empty() {
                        break;
                    }
                    lines.push(Self::indented(hang));
                    used = hang;
                }
                push(&mut lines, rest, *style);
                used += measure_text_width(rest);
            }
        }
        lines
    }

    fn indented(columns: usize) -> Self {
        let spaces = " ".repeat(columns);
        Self {
            spans: vec![(spaces, Style::Plain)],
            hang: None,
        }
    }

    fn columns(&self) -> usize {
        self.spans
            .iter()
            .map(|(text, _)| measure_text_width(text))
            .sum()
    }

    fn render(&self, colour: bool) -> String {
        let blank = |(text, _): &&(String, Style)| text.trim_end().is_empty();
        let last = self.spans.len() - self.spans.iter().rev().take_while(blank).count();
        let mut row = String::new();
        for (at, (text, style)) in self.spans[..last].iter().enumerate() {
            let text = if at + 1 == last {
                text.trim_end()
            } else {
                text
            };
            match style.code().filter(|_| colour && !text.is_empty()) {
                Some(code) => row.push_str(&format!("\x1b[{code}m{text}\x1b[0m")),
                None => row.push_str(text),
            }
        }
        row
    }
}

/// Several lines.
#[derive(Clone, Debug, Default)]
pub(in crate::kubectl) struct Text {
    lines: Vec<Line>,
}

impl Text {
    /// Adds a line.
    pub(in crate::kubectl) fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Adds an empty line.
    pub(in crate::kubectl) fn gap(&mut self) {
        self.lines.push(Line::cut());
    }

    /// Adds the lines of another text.
    pub(in crate::kubectl) fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    /// Returns the rows of a screen of this width; without one, lines stay whole.
    pub(in crate::kubectl) fn rows(&self, width: Option<usize>, colour: bool) -> Vec<String> {
        let lines = self.lines.iter();
        let fitted = lines.flat_map(|line| match width {
            Some(width) => line.fit(width),
            None => vec![line.clone()],
        });
        fitted.map(|line| line.render(colour)).collect()
    }

    /// Returns the rows as one string that ends with a line break.
    pub(in crate::kubectl) fn render(&self, width: Option<usize>, colour: bool) -> String {
        let rows = self.rows(width, colour).into_iter();
        rows.map(|row| row + "\n").collect()
    }
}

/// Adds to the last line.
fn push(lines: &mut [Line], text: &str, style: Style) {
    let Some(line) = lines.last_mut() else {
        return;
    };
    match line.spans.last_mut() {
        Some((before, known)) if *known == style => before.push_str(text),
        _ => line.spans.push((text.to_owned(), style)),
    }
}

/// Splits a text where the first part has at most this many columns.
fn split_at_columns(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        let mut buffer = [0; 4];
        used += measure_text_width(character.encode_utf8(&mut buffer));
        if used > columns {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// Replaces what could act on a terminal, or turn the direction of the text around.
fn escaped(text: &str) -> String {
    let acts =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(acts) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

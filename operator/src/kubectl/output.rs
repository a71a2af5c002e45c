//! Where the plugin writes: results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

use console::Term;

use super::text::Text;

/// Standard output, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    terminal: bool,
    colour: bool,
}

impl Output {
    /// Looks at standard output.
    pub(super) fn stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        Self {
            terminal,
            colour: terminal && !dumb && set("NO_COLOR").is_none(),
        }
    }

    /// Returns whether a person looks at it.
    pub(super) fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Returns whether colours are welcome.
    pub(super) fn colour(self) -> bool {
        self.colour
    }

    /// Returns columns and rows of the terminal of this moment.
    pub(super) fn size(self) -> Option<(usize, usize)> {
        let (rows, columns) = Term::stdout().size_checked().filter(|_| self.terminal)?;
        Some((columns.into(), rows.into()))
    }

    /// Writes lines, broken to the width of the terminal.
    ///
    /// # Errors
    /// Fails when they cannot be written, as when the reader is gone.
    pub(super) fn text(self, text: &Text) -> io::Result<()> {
        let width = self.size().map(|(columns, _)| columns);
        self.raw(&text.render(width, self.colour))
    }

    /// Writes a text as it is.
    ///
    /// # Errors
    /// Fails when it cannot be written, as when the reader is gone.
    pub(super) fn raw(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Writes a line to stderr. Errors are ignored: there is no other place to tell them.
pub(super) fn note(text: &str) {
    let mut safe = Text::default();
    for line in text.lines() {
        safe.push(super::text::Line::cut().plain(line));
    }
    let _ = io::stderr()
        .lock()
        .write_all(safe.render(None, false).as_bytes());
}

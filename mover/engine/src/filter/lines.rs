//! Rules as they are written in options and files.

use super::{Action, Pattern, PatternError, Rule};

/// What a line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// One more rule.
    Rule(Rule),
    /// None of the rules before it.
    Clear,
}

/// A line of a file that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinesError {
    /// Its pattern cannot be used.
    #[error("line {line}: {error}")]
    Pattern {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        error: PatternError,
    },
    /// It does not say what to do.
    #[error(
        "line {line}: begin it with `- ` to exclude or `+ ` to include; `!` alone forgets the rules before it"
    )]
    NoAction {
        /// Number of the line, from 1.
        line: usize,
    },
}

/// Parses the value of `--exclude` or `--include`, which `- ` or `+ ` at its beginning overrules.
pub fn parse_option(text: &[u8], default: Action) -> Result<Line, PatternError> {
    match explicit(text) {
        Some(line) => line,
        None => rule(default, text),
    }
}

/// Parses a file of rules, one a line; empty lines and those that begin with `#` or `;` are passed over. A line
/// without `- ` or `+ ` is for `default`, or an error if there is none.
pub fn parse_lines(text: &[u8], default: Option<Action>) -> Result<Vec<Line>, LinesError> {
    let mut lines = Vec::new();
    for (number, text) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = number + 1;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if matches!(text.first(), None | Some(b'#' | b';')) {
            continue;
        }
        let parsed = match (explicit(text), default) {
            (Some(parsed), _) => parsed,
            (None, Some(action)) => rule(action, text),
            (None, None) => return Err(LinesError::NoAction { line }),
        };
        lines.push(parsed.map_err(|error| LinesError::Pattern { line, error })?);
    }
    Ok(lines)
}

fn explicit(text: &[u8]) -> Option<Result<Line, PatternError>> {
    if text == b"!" {
        return Some(Ok(Line::Clear));
    }
    let excluded = text.strip_prefix(b"- ").map(|rest| (Action::Exclude, rest));
    let included = || text.strip_prefix(b"+ ").map(|rest| (Action::Include, rest));
    let (action, pattern) = excluded.or_else(included)?;
    Some(rule(action, pattern))
}

fn rule(action: Action, pattern: &[u8]) -> Result<Line, PatternError> {
    let pattern = Pattern::new(pattern)?;
    Ok(Line::Rule(Rule { action, pattern }))
}

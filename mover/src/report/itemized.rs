//! A line for every change, as rsync's `--itemize-changes` prints it.
//!
//! Names are escaped, so that a line is a line. The order is that of the run, which is no fixed one.

use std::sync::{Mutex, PoisonError};

use blit_engine::entry::Escaped;

use super::output::Output;
use super::record::{EntryPath, Record};
use super::terminal::Screen;

/// Bytes kept back before they are written.
const BUFFER: usize = 64 * 1024;
/// What the change of an entry is called that became another name of an inode.
const LINKED: &str = "linked";

/// Prints changes to stdout.
pub struct Itemized {
    screen: Screen,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    closed: bool,
}

impl Itemized {
    /// Prints beside what `screen` shows.
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            state: Mutex::default(),
        }
    }
}

impl Output for Itemized {
    fn wants_entries(&self) -> bool {
        true
    }

    fn take(&self, record: &Record) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = line(record) {
            state.pending.extend_from_slice(line.as_bytes());
            if state.pending.len() < BUFFER {
                return;
            }
        }
        if state.pending.is_empty() || state.closed {
            state.pending.clear();
            return;
        }
        // A closed pipe stays closed; there is nobody left to tell.
        state.closed = self.screen.stdout(&state.pending).is_err();
        state.pending.clear();
    }
}

/// Returns the line of a change.
fn line(record: &Record) -> Option<String> {
    let Record::Entry {
        path,
        change,
        itemize,
        directory,
        target,
    } = record
    else {
        return None;
    };
    let arrow = match target {
        Some(_) if change == LINKED => " => ",
        Some(_) => " -> ",
        None => "",
    };
    let target = target.as_deref().unwrap_or_default();
    let name = name(path, *directory);
    Some(format!("{itemize} {name}{arrow}{target}\n"))
}

/// Returns a path as it is printed: directories end in a slash, and the root is `./`.
fn name(path: &EntryPath, directory: bool) -> String {
    let bytes = path.bytes().unwrap_or_default();
    let slash = if directory { "/" } else { "" };
    match bytes.is_empty() {
        true => format!(".{slash}"),
        false => format!("{}{slash}", Escaped(&bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{EntryPath, Record, line};

    fn entry(path: &[u8], directory: bool, change: &str, target: Option<&str>) -> Option<String> {
        line(&Record::Entry {
            path: EntryPath::new(path),
            change: change.to_owned(),
            itemize: "ELEVEN CHAR".to_owned(),
            directory,
            target: target.map(str::to_owned),
        })
    }

    #[test]
    fn a_line_names_the_entry_and_where_it_leads() {
        let lines = [
            (entry(b"a", false, "created", None), "a"),
            (entry(b"a\n\xff", false, "created", None), "a\\n\\xff"),
            (entry(b"a", true, "deleted", None), "a/"),
            (entry(b"", true, "attributes", None), "./"),
            (entry(b"l", false, "created", Some("t")), "l -> t"),
            (entry(b"l", false, "linked", Some("t")), "l => t"),
        ];
        for (line, expected) in lines {
            assert_eq!(line, Some(format!("ELEVEN CHAR {expected}\n")));
        }
    }
}

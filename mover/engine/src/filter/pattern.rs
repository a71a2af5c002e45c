//! What a pattern means: where it is anchored, what it is matched with, and whether it is for directories
//! only.

use super::glob::Glob;

/// A pattern that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// There is nothing in it.
    #[error("a pattern is empty; write what to match, such as `*.tmp`, or remove it")]
    Empty,
    /// Names and paths have no such byte.
    #[error("a pattern holds a NUL byte, which no name can; remove it")]
    Nul,
}

/// A pattern in rsync's syntax.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// As it was written.
    text: Box<[u8]>,
    glob: Glob,
    place: Place,
    directories_only: bool,
    /// It ends in `***`: a directory is matched with the slash that its content would have.
    with_content: bool,
}

/// What of a path is matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// The last component.
    Name,
    /// The whole path, from its beginning.
    Root,
    /// The whole path with a slash before it, so that `**/` matches nothing too.
    AfterSlash,
    /// Any number of last components.
    Tail,
}

impl Pattern {
    /// Parses a pattern; every string of bytes but the empty one is one.
    pub fn new(text: &[u8]) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.contains(&0) {
            return Err(PatternError::Nul);
        }
        let written = text;
        let (text, directories_only) = match text.strip_suffix(b"/") {
            Some(rest) if !rest.is_empty() => (rest, true),
            _ => (text, false),
        };
        let wild = text.iter().any(|byte| b"*?[".contains(byte));
        let crosses = wild && text.windows(2).any(|pair| pair == b"**");
        let (body, anchored) = match text.strip_prefix(b"/") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let place = if anchored {
            Place::Root
        } else if crosses && body.starts_with(b"**") {
            Place::AfterSlash
        } else if crosses || body.contains(&b'/') {
            Place::Tail
        } else {
            Place::Name
        };
        Ok(Self {
            text: written.into(),
            glob: match wild {
                true => Glob::new(body),
                false => Glob::literal(body),
            },
            place,
            directories_only,
            with_content: wild && text.ends_with(b"***"),
        })
    }

    /// Returns the pattern as it was written.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns true if the pattern matches an entry.
    pub fn matches(&self, path: &[u8], directory: bool) -> bool {
        if path.is_empty() || (self.directories_only && !directory) {
            return false;
        }
        let slash: &[u8] = match directory && self.with_content {
            true => b"/",
            false => b"",
        };
        match self.place {
            Place::Name => {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                self.glob.matches(&[name, slash])
            }
            Place::Root => self.glob.matches(&[path, slash]),
            Place::AfterSlash => self.glob.matches(&[b"/", path, slash]),
            Place::Tail => tails(path).any(|tail| self.glob.matches(&[tail, slash])),
        }
    }
}

/// Returns a path, and what is left of it after each slash.
fn tails(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    std::iter::once(path).chain(slashes.map(|(at, _)| &path[at + 1..]))
}

//! The file of the history: found, appended to, kept short, read.
//!
//! A line is one write under a lock of the file. A file that has grown too long is replaced by its newer half,
//! under the same lock; who waited for the lock of the old one notices and opens the new one.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::entry::Entry;

/// Switches the history off.
pub const DISABLE: &str = "BLIT_DISABLE_PERF_HISTORY";

/// Length that the file does not exceed. A run takes about 800 bytes.
const CAP: u64 = 1024 * 1024;
/// Bytes at the end that a run learns from: some 30 runs.
const NEWEST: u64 = 24 * 1024;
/// How long a run waits for others that write.
const PATIENCE: Duration = Duration::from_millis(200);
/// Pause between two tries for the lock.
const PAUSE: Duration = Duration::from_millis(2);
/// Mode of the file: figures are nobody else's business.
const MODE: u32 = 0o600;

/// The history of one user, whether it exists or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryFile {
    path: PathBuf,
    cap: u64,
}

impl HistoryFile {
    /// Returns the history of the user; `None` if it is switched off or there is no home directory.
    pub fn of_user() -> Option<Self> {
        Self::from_environment(|name| std::env::var_os(name))
    }

    fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let off = variable(DISABLE).is_some_and(|value| !value.is_empty() && value != "0");
        if off {
            return None;
        }
        // A relative path would be another file in each directory; the convention says to ignore it.
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let config = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
        Some(Self::at(config.join("blit/perf_local.jsonl")))
    }

    /// Names a history.
    pub fn at(path: PathBuf) -> Self {
        Self { path, cap: CAP }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, and drops the older half of what is there if the file gets too long.
    pub fn append(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let until = Instant::now() + PATIENCE;
        let file = self.locked(until)?;
        let metadata = file.metadata()?;
        if metadata.mode() & 0o077 != 0 {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(MODE))?;
        }
        let length = metadata.len();
        if length + line.len() as u64 > self.cap {
            return self.replace(&file, &line);
        }
        if length > 0 {
            let mut last = [0];
            file.read_exact_at(&mut last, length - 1)?;
            // Whoever wrote before was stopped in the middle; that line is lost, this one is not.
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
        }
        (&file).write_all(&line).inspect_err(|_| {
            // On a full disk: half a line helps nobody.
            let _ = file.set_len(length);
        })
    }

    /// Returns all lines that can be read, oldest first; none where there is no file.
    pub fn read(&self) -> io::Result<Vec<Entry>> {
        self.read_last(2 * self.cap)
    }

    /// Returns the newest lines, oldest first: so many that reading them takes a run no time.
    pub fn read_newest(&self) -> io::Result<Vec<Entry>> {
        self.read_last(NEWEST)
    }

    fn read_last(&self, bytes: u64) -> io::Result<Vec<Entry>> {
        let mut file = match self.open(OFlags::RDONLY) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let before = file.metadata()?.len().saturating_sub(bytes);
        file.seek(SeekFrom::Start(before))?;
        let mut text = Vec::new();
        file.take(bytes).read_to_end(&mut text)?;
        // Half a line is none.
        Ok(text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    /// Opens the file that has the name now, and locks it.
    fn locked(&self, until: Instant) -> io::Result<File> {
        loop {
            let file = self.open_or_make()?;
            loop {
                match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => break,
                    Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                        std::thread::sleep(PAUSE);
                    }
                    Err(errno) => return Err(errno.into()),
                }
            }
            let current = self.path.symlink_metadata()?;
            if current.ino() == file.metadata()?.ino() {
                return Ok(file);
            }
        }
    }

    fn open_or_make(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
        match self.open(flags) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(directory) = self.path.parent() {
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(directory)?;
                }
                self.open(flags)
            }
            other => other,
        }
    }

    /// Opens the file without waiting for anything, and only if it is one.
    fn open(&self, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file: File = rustix::fs::open(&self.path, flags, Mode::from_raw_mode(MODE))?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is not a file")),
        }
    }

    /// Puts the newer half and a line in the place of the file, of which the lock is held.
    fn replace(&self, mut file: &File, line: &[u8]) -> io::Result<()> {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let half = text.len()
            - text
                .len()
                .min(usize::try_from(self.cap / 2).unwrap_or(usize::MAX));
        let begin = text[half..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(text.len(), |end| half + end + 1);
        let kept = &text[begin..];
        // Whoever wrote before was stopped in the middle: the line of another must not become part of that.
        let torn = kept.last().is_some_and(|last| *last != b'\n');
        // Only who holds the lock makes this name; one that a stopped process left is overwritten.
        let next = self.path.with_extension("jsonl.new");
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&next)?;
        new.write_all(kept)
            .and_then(|()| new.write_all(if torn { b"\n" } else { b"" }))
            .and_then(|()| new.write_all(line))
            .and_then(|()| std::fs::rename(&next, &self.path))
            .inspect_err(|_| {
                let _ = std::fs::remove_file(&next);
            })
    }
}

#[cfg(test)]
mod tests;

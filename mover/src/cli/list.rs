//! `blit list`: the content of a directory at a daemon, as `ls -l` shows it.
//!
//! Invariant: memory is bounded, however long the list is.

use std::ffi::OsString;
use std::io::Write;
use std::process;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::{Entry, Escaped, Kind};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::remote::{AccessArgs, RemoteUrl};
use super::remote_error::RemoteError;
use crate::report::record::EntryPath;
use crate::report::terminal::say;

/// Entries that are sorted and aligned together, at most.
const TOGETHER: usize = 8192;

/// The same in bytes.
const TOGETHER_BYTES: usize = 4 << 20;

/// `blit list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// A directory, or anything else, at a daemon: blit://HOST[:PORT]/PATH
    #[arg(value_name = "REMOTE")]
    pub remote: OsString,
    /// Print one object a line as JSON (schema blit.list/v1)
    #[arg(long)]
    pub json: bool,
    /// By what this side gets in.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// An entry as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    schema: &'static str,
    #[serde(flatten)]
    name: EntryPath,
    kind: &'static str,
    mode: u32,
    links: u32,
    uid: u32,
    gid: u32,
    size: u64,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<EntryPath>,
}

impl ListArgs {
    /// Asks, prints the answer as it comes, and returns how that ended.
    pub fn run(self) -> process::ExitCode {
        let mut shown = Shown::new(self.json, TimeZone::system(), std::io::stdout().lock());
        let asked = self.ask(&mut shown);
        shown.finish();
        match asked {
            Ok(()) => ExitCode::Complete.into(),
            Err(error) => {
                say(&format!("error: {error}"));
                error.exit_code().into()
            }
        }
    }

    fn ask(&self, shown: &mut Shown<impl Write>) -> Result<(), RemoteError> {
        let url = RemoteUrl::parse(&self.remote)?;
        let remote = url.remote(self.access.access()?);
        Ok(remote.list(url.path(), |entry| shown.take(entry))?)
    }
}

/// Prints entries as they come, sorted by name and aligned; of a long list so many at a time as memory is given to.
struct Shown<W> {
    json: bool,
    zone: TimeZone,
    out: W,
    waiting: Vec<Entry>,
    bytes: usize,
    /// Nobody reads any more.
    closed: bool,
}

impl<W: Write> Shown<W> {
    fn new(json: bool, zone: TimeZone, out: W) -> Self {
        Self {
            json,
            zone,
            out,
            waiting: Vec::new(),
            bytes: 0,
            closed: false,
        }
    }

    /// Takes an entry. Returns false when nobody reads any more.
    fn take(&mut self, entry: Entry) -> bool {
        self.bytes += entry.weight();
        self.waiting.push(entry);
        if self.waiting.len() >= TOGETHER || self.bytes >= TOGETHER_BYTES {
            self.finish();
        }
        !self.closed
    }

    /// Prints what waits.
    fn finish(&mut self) {
        let mut entries = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let lines: Vec<_> = match self.json {
            true => entries.iter().map(json).collect(),
            false => text(&entries, &self.zone),
        };
        if !lines.is_empty() && !self.closed {
            let printed = writeln!(self.out, "{}", lines.join("\n"));
            self.closed = printed.and_then(|()| self.out.flush()).is_err();
        }
    }
}

fn json(entry: &Entry) -> String {
    let meta = &entry.meta;
    let listed = Listed {
        schema: "blit.list/v1",
        name: EntryPath::new(&entry.name),
        kind: kind(meta.kind),
        mode: meta.mode,
        links: meta.nlink,
        uid: meta.uid,
        gid: meta.gid,
        size: meta.size,
        modified: modified(entry).map_or_else(String::new, |time| time.to_string()),
        target: entry.target.as_ref().map(|target| EntryPath::new(target)),
    };
    serde_json::to_string(&listed).unwrap_or_default()
}

/// Returns the lines of `ls -l`, columns aligned; owners are numbers, because names are this host's.
fn text(entries: &[Entry], zone: &TimeZone) -> Vec<String> {
    let cells: Vec<_> = entries.iter().map(|entry| cells(entry, zone)).collect();
    let width = |column: usize| {
        let lengths = cells.iter().map(|cells| cells[column].len());
        lengths.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..6).map(width).collect();
    let line = |(entry, cells): (&Entry, &[String; 6])| {
        let mut line = cells[0].clone();
        for column in 1..5 {
            line.push_str(&format!(" {:>1$}", cells[column], widths[column]));
        }
        line.push_str(&format!(" {} {}", cells[5], Escaped(&entry.name)));
        if let Some(target) = &entry.target {
            line.push_str(&format!(" -> {}", Escaped(target)));
        }
        line
    };
    entries.iter().zip(&cells).map(line).collect()
}

fn cells(entry: &Entry, zone: &TimeZone) -> [String; 6] {
    let meta = &entry.meta;
    let size = match meta.kind.is_device() {
        true => format!("{},{}", meta.rdev.0, meta.rdev.1),
        false => meta.size.to_string(),
    };
    let time = modified(entry).map(|time| {
        let local = time.to_zoned(zone.clone());
        local.strftime("%Y-%m-%d %H:%M").to_string()
    });
    [
        mode(meta.kind, meta.mode),
        meta.nlink.to_string(),
        meta.uid.to_string(),
        meta.gid.to_string(),
        size,
        time.unwrap_or_else(|| "?".to_owned()),
    ]
}

fn modified(entry: &Entry) -> Option<Timestamp> {
    let time = entry.meta.mtime;
    Timestamp::new(time.seconds, time.nanoseconds.cast_signed()).ok()
}

/// Returns the ten characters of `ls -l`.
fn mode(kind: Kind, mode: u32) -> String {
    let kind = match kind {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "charDevice",
        Kind::BlockDevice => "blockDevice",
    }
}

#[cfg(test)]
mod tests;

//! One line of the history. Fields are only ever added, and a reader ignores what it does not know.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::place::FileSystems;
use crate::report::record::{SummaryRecord, TimeSpent};

/// Name of the schema; every line carries it.
pub const SCHEMA: &str = "blit.perf/v1";

/// One line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// When it was written, RFC 3339, UTC.
    pub time: String,
    /// Version of the program.
    pub version: String,
    /// What it is about.
    #[serde(flatten)]
    pub body: Body,
}

/// What a line is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Body {
    /// A run.
    Run(Box<Run>),
    /// A measurement that somebody asked for.
    Profile(Profile),
}

/// A run of `copy`, `mirror` or `run -f`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// `copy` or `mirror`.
    pub operation: String,
    /// `Local` or `TCP`.
    pub transport: String,
    /// Where it read and wrote.
    pub file_systems: FileSystems,
    /// `Complete`, or the reason in one word.
    pub result: String,
    /// Exit code.
    pub exit_code: u8,
    /// Entries of the source; null unless all were listed.
    pub files_total: Option<u64>,
    /// Entries written.
    pub files_copied: u64,
    /// Entries that were equal.
    pub files_unchanged: u64,
    /// Entries deleted.
    pub files_deleted: u64,
    /// Entries that failed.
    pub files_failed: u64,
    /// Entries of which only attributes were set.
    pub metadata_repaired: u64,
    /// Content bytes written.
    pub bytes_copied: u64,
    /// Content bytes of the source; null unless all was listed.
    pub bytes_total: Option<u64>,
    /// Wall-clock time.
    pub duration_seconds: f64,
    /// From the start until everything was listed and compared; copying went on meanwhile.
    pub planning_seconds: Option<f64>,
    /// From the start of the command to the first content byte written.
    pub seconds_to_first_byte: Option<f64>,
    /// Part of the time that went into flushing to disk.
    pub sync_seconds: f64,
    /// The run was ended because nothing moved.
    pub stalled: bool,
    /// Largest resident set of a process of the run, in bytes.
    pub peak_memory: u64,
    /// Worker threads that turned out right; null where nothing was learned.
    #[serde(default)]
    pub workers: Option<usize>,
    /// What the threads spent their time on.
    pub time_spent: Option<TimeSpent>,
}

/// What this machine can do with one directory.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Kind of the directory's file system.
    pub file_system: String,
    /// Small files copied a second.
    pub small_files_per_second: f64,
    /// Size of each of them in bytes.
    pub small_file_bytes: u64,
    /// Bytes of one large file written and flushed to disk a second.
    pub large_bytes_per_second: f64,
    /// Size of that file in bytes.
    pub large_file_bytes: u64,
    /// Median time to make 4 KiB durable, in seconds.
    pub fsync_seconds: f64,
}

impl Entry {
    /// Makes a line that is written now.
    pub fn now(body: Body) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            time: Timestamp::now().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            body,
        }
    }
}

impl Run {
    /// Takes the figures of a summary, and nothing that could be a name.
    pub fn new(operation: &str, file_systems: FileSystems, summary: &SummaryRecord) -> Self {
        Self {
            operation: operation.to_owned(),
            transport: summary.transport.clone(),
            file_systems,
            result: summary.result.clone(),
            exit_code: summary.exit_code,
            files_total: summary.files_total,
            files_copied: summary.files_copied,
            files_unchanged: summary.files_unchanged,
            files_deleted: summary.files_deleted,
            files_failed: summary.files_failed,
            metadata_repaired: summary.metadata_repaired,
            bytes_copied: summary.bytes_copied,
            bytes_total: summary.bytes_total,
            duration_seconds: summary.duration_seconds,
            planning_seconds: summary.planning_seconds,
            seconds_to_first_byte: summary.seconds_to_first_byte,
            sync_seconds: summary.sync_seconds,
            stalled: summary.code() == blit_crds::outcome::ExitCode::Stalled,
            peak_memory: summary.peak_memory,
            workers: summary.workers,
            time_spent: summary.time_spent,
        }
    }
}

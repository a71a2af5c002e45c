//! The events of schema `blit.events/v1`, as values that can be written and read back.
//!
//! Fields are only ever added. A reader must ignore what it does not know.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use blit_crds::mirrorjob::TriedTransport;
use blit_crds::outcome::ExitCode;
use blit_transport::planes::{PlaneKind, Tried};
use serde::{Deserialize, Serialize};

use super::figures::{Figures, Phase};

/// Name of the schema; every line carries it.
pub const SCHEMA: &str = "blit.events/v1";

/// One line: the common fields and the event itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Counts the lines of this output from 1.
    pub seq: u64,
    /// When it was written, RFC 3339, UTC.
    pub time: String,
    /// Identity of the run; the two movers of an attempt have one each.
    pub run_id: String,
    /// The event.
    #[serde(flatten)]
    pub record: Record,
}

/// [`Line`] for writing, with parts that belong to somebody else.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineRef<'a> {
    pub(super) schema: &'static str,
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) run_id: &'a str,
    #[serde(flatten)]
    pub(super) record: &'a Record,
}

/// One event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Record {
    /// The program knows what it is to do; a listening mover says where it listens.
    Start(Start),
    /// The run does something else from now on.
    Phase {
        /// What it does.
        phase: Phase,
    },
    /// Figures, once or twice a second.
    Progress(Figures),
    /// An entry of the destination was changed, or a verification found it to differ.
    Entry {
        /// The entry, relative to the root.
        #[serde(flatten)]
        path: EntryPath,
        /// What was done to it, or in what it differs.
        change: String,
        /// rsync's eleven characters for it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        itemize: String,
        /// It is or was a directory.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        directory: bool,
        /// Target of a symbolic link, or the name that it was linked to; escaped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<String>,
    },
    /// Something worth knowing that is no failure.
    Note {
        /// The entry, relative to the root; the root itself where absent.
        #[serde(flatten)]
        path: EntryPath,
        /// Kind of the note, a fixed word.
        kind: String,
        /// The note, for people.
        message: String,
    },
    /// A system call has not returned for long; the run goes on.
    Slow {
        /// Name of the call.
        call: String,
        /// What it is about, relative to the root it lies in.
        #[serde(flatten)]
        path: EntryPath,
        /// How long it had taken when this was written.
        seconds: f64,
    },
    /// A data plane could not be used; content travels by another.
    Fallback {
        /// The plane that could not be used: `TCP` or `GRPC`.
        from: String,
        /// The plane that is used instead.
        to: String,
        /// Why.
        reason: String,
    },
    /// A deletion was withheld.
    Withheld {
        /// The directory below which nothing is deleted.
        #[serde(flatten)]
        path: EntryPath,
        /// Why.
        reason: String,
    },
    /// An entry failed, or the run.
    Error {
        /// The entry, relative to the root; absent where the run itself failed.
        #[serde(flatten)]
        path: EntryPath,
        /// What failed and what helps.
        message: String,
    },
    /// How it ended; the last line.
    Summary(Box<SummaryRecord>),
}

impl Record {
    /// Returns the event of a data plane that could not be used. There are two.
    pub fn fallback(tried: &Tried) -> Self {
        let to = match tried.plane {
            PlaneKind::Tcp => PlaneKind::Grpc,
            PlaneKind::Grpc => PlaneKind::Tcp,
        };
        Self::Fallback {
            from: tried.plane.as_str().to_owned(),
            to: to.as_str().to_owned(),
            reason: tried.reason.clone(),
        }
    }
}

/// What a program says first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// Version of the program.
    pub version: String,
    /// `copy`, `mirror` or `verify`; absent in a source mover, which does what the destination asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The source as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The destination as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Where a destination mover listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Listen>,
}

/// Addresses of a mover that listens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listen {
    /// Address and port of the control plane.
    pub control: String,
    /// Port of the data plane, on the same address; absent in a mover that has both volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<u16>,
}

/// A path below the root: UTF-8 in `path`, anything else in `pathBytes` as base64.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryPath {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl EntryPath {
    /// Takes a path as bytes.
    pub fn new(path: &[u8]) -> Self {
        std::str::from_utf8(path).map_or_else(
            |_| Self {
                path: None,
                path_bytes: Some(BASE64.encode(path)),
            },
            |text| Self {
                path: Some(text.to_owned()),
                path_bytes: None,
            },
        )
    }

    /// Returns the bytes of the path, unless it is absent or its base64 is broken.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.path, &self.path_bytes) {
            (Some(path), _) => Some(path.clone().into_bytes()),
            (None, Some(encoded)) => BASE64.decode(encoded).ok(),
            (None, None) => None,
        }
    }
}

/// The last line: what a run did.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SummaryRecord {
    /// `complete`, or the reason in one word.
    pub result: String,
    /// The exit code of the program.
    pub exit_code: u8,
    /// Nothing was done; the figures are of what would be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What failed and what helps, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The same without names of files, for those who may see the pod but not the volume.
    #[serde(skip)]
    pub public_message: Option<String>,
    /// Entries of the source, directories left out; null unless the scan was complete.
    pub files_total: Option<u64>,
    /// Entries written because they were new or different.
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
    /// Content bytes that are written or were there already.
    #[serde(default)]
    pub bytes_done: u64,
    /// Content bytes of the source; null unless the scan was complete.
    pub bytes_total: Option<u64>,
    /// Content bytes that crossed the network.
    pub bytes_sent: u64,
    /// Entries that were gone when their turn came.
    pub vanished: u64,
    /// Differences that a verification found; absent in other runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<u64>,
    /// Content bytes that were read on both sides; only of a verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_compared: Option<u64>,
    /// What was proven of what was brought over; absent unless the run verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Files that changed while they were read and kept their old version at the destination.
    pub unstable: u64,
    /// What could not be kept, by kind of attribute.
    pub not_kept: BTreeMap<String, NotKept>,
    /// Directories below which deletions were withheld, because their listing was incomplete.
    pub deletions_withheld: u64,
    /// Why the guard refused, if it did.
    pub guard: Option<Guard>,
    /// No data plane that may be used could be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transport_unavailable: bool,
    /// The shape of work that the run met; null for the plain path.
    pub fast_path: Option<String>,
    /// Worker threads that turned out right; absent where the run was too short to learn it, or their number was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Wall-clock time of the run.
    pub duration_seconds: f64,
    /// From the start of the process (in a pod, from the first message of the session) to the first
    /// content byte written; null if none was.
    pub seconds_to_first_byte: Option<f64>,
    /// From the start of the run until everything was listed and compared; null if that did not end.
    #[serde(default)]
    pub planning_seconds: Option<f64>,
    /// Part of the duration that went into flushing to disk.
    pub sync_seconds: f64,
    /// What the threads spent their time on; absent where no run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_spent: Option<TimeSpent>,
    /// Largest resident set of this process, in bytes.
    pub peak_memory: u64,
    /// The data plane in use at the end: `Local`, `TCP` or `GRPC`.
    pub transport: String,
    /// Data planes that could not be used, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedTransport>,
    /// Share of the bytes sent that went to the network without being copied through memory, 0 to 1;
    /// absent where nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_copy_share: Option<f64>,
}

impl SummaryRecord {
    /// Returns the exit code as the type.
    pub fn code(&self) -> ExitCode {
        ExitCode::from_code(self.exit_code).unwrap_or(ExitCode::OtherError)
    }
}

/// Seconds that the threads of a run spent, all together: the sum can exceed the duration.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct TimeSpent {
    /// Listing and comparing.
    pub scan: f64,
    /// Opening and reading files of the source.
    pub read: f64,
    /// Writing content, letting the kernel copy it, flushing.
    pub write: f64,
    /// Making names and setting attributes.
    pub metadata: f64,
    /// Counting and doing deletions.
    pub delete: f64,
    /// Waiting for something to do.
    pub wait: f64,
}

/// What a run that verifies found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Verification {
    /// Files whose content was proven or found to be something else.
    pub compared: u64,
    /// How often what was brought over was something else; such a file is brought over again.
    pub mismatches: u64,
}

/// Attributes of one kind that could not be kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NotKept {
    /// Number of entries.
    pub count: u64,
    /// The first names, escaped.
    pub names: Vec<String>,
}

/// A refusal of the guard.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Guard {
    /// `SourceEmpty`, `NothingInCommon` or `MaxDeleteExceeded`.
    pub reason: String,
    /// The refusal, for people.
    pub message: String,
}

#[cfg(test)]
mod tests;

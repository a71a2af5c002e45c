//! The last word of a mover.
//!
//! Kubernetes keeps what a container writes to its termination message path in the status of the pod,
//! where everybody who may read pods can read it. So it holds counts and causes and no name of a file,
//! and it is small.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exit_code::ExitCode;
use super::reason::Reason;
use crate::mirrorjob::{SelectedTransport, Side, TriedTransport, Verification};

/// Largest termination message in bytes. Kubernetes cuts at 4096 and would leave broken JSON.
pub const MAX_TERMINATION_MESSAGE: usize = 3072;

/// Kinds of metadata that are listed; there are fewer in practice.
const MAX_KINDS: usize = 16;

/// Data planes that are listed; there are fewer in practice.
const MAX_TRIED: usize = 4;

/// Longest reason of one of them, in bytes.
const MAX_TRIED_REASON: usize = 256;

/// How a mover ended, for the operator and for `blit run -f`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TerminationMessage {
    /// Which mover speaks.
    pub side: Side,
    /// Its exit code.
    pub exit_code: ExitCode,
    /// Cause and remedy in one sentence, without names of files. Empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Which rule of the guard refused, with exit code 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// Entries of the source; unknown before the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_total: Option<u64>,
    /// Entries copied.
    #[serde(default)]
    pub files_copied: u64,
    /// Entries that were as they should be.
    #[serde(default)]
    pub files_unchanged: u64,
    /// Entries deleted at the destination.
    #[serde(default)]
    pub files_deleted: u64,
    /// Entries that could not be copied.
    #[serde(default)]
    pub files_failed: u64,
    /// Bytes of the files to copy; unknown before the scan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Bytes of content copied.
    #[serde(default)]
    pub bytes_copied: u64,
    /// Bytes of content that were copied or were there already.
    #[serde(default)]
    pub bytes_done: u64,
    /// Entries of which only metadata was set.
    #[serde(default)]
    pub metadata_repaired: u64,
    /// Deletions that were withheld.
    #[serde(default)]
    pub deletions_withheld: u64,
    /// How often a kind of metadata could not be kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_kept: BTreeMap<String, u64>,
    /// What a run that verifies found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// No data plane that may be used could be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transport_unavailable: bool,
    /// How the data travelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<SelectedTransport>,
    /// Data planes that could not be used, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedTransport>,
    /// Whether content was sent to the network without a copy through the memory of the source.
    #[serde(default)]
    pub zero_copy: bool,
    /// Duration of the run in seconds.
    #[serde(default)]
    pub duration_seconds: f64,
}

/// A rule of the guard on deletions.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Guard {
    /// The source is empty.
    SourceEmpty,
    /// Source and destination have nothing in common at the top.
    NothingInCommon,
    /// More would be deleted than is allowed.
    MaxDelete,
}

impl TerminationMessage {
    /// Makes a message with an exit code and a cause, and no counts.
    pub fn new(side: Side, exit_code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            side,
            exit_code,
            message: message.into(),
            guard: None,
            files_total: None,
            files_copied: 0,
            files_unchanged: 0,
            files_deleted: 0,
            files_failed: 0,
            bytes_total: None,
            bytes_copied: 0,
            bytes_done: 0,
            metadata_repaired: 0,
            deletions_withheld: 0,
            not_kept: BTreeMap::new(),
            verification: None,
            transport_unavailable: false,
            transport: None,
            tried: Vec::new(),
            zero_copy: false,
            duration_seconds: 0.0,
        }
    }

    /// Returns the word for how the mover ended, `None` on success.
    pub fn reason(&self) -> Option<Reason> {
        if self.transport_unavailable && self.exit_code == ExitCode::PeerUnreachable {
            return Some(Reason::TransportUnavailable);
        }
        Reason::of(self.exit_code, self.guard)
    }

    /// Returns the message as JSON of at most [`MAX_TERMINATION_MESSAGE`] bytes; what is too long is
    /// cut, the cause last.
    ///
    /// # Errors
    /// Fails when a number cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut short = self.clone();
        short.not_kept = self
            .not_kept
            .iter()
            .take(MAX_KINDS)
            .map(|(kind, count)| (kind.chars().take(32).collect(), *count))
            .collect();
        short.tried.truncate(MAX_TRIED);
        for tried in &mut short.tried {
            let excess = tried.reason.len().saturating_sub(MAX_TRIED_REASON);
            if excess > 0 {
                cut(&mut tried.reason, excess);
            }
        }
        loop {
            let json = serde_json::to_string(&short)?;
            let Some(excess) = json.len().checked_sub(MAX_TERMINATION_MESSAGE + 1) else {
                return Ok(json);
            };
            if !cut(&mut short.message, excess + 1) && short.tried.pop().is_none() {
                short.not_kept.pop_last();
            }
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Fails when the text is not a termination message, as when a mover was killed before it wrote
    /// one.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Shortens a text by at least `bytes` and marks the cut. Returns false when nothing is left to cut.
fn cut(text: &mut String, bytes: usize) -> bool {
    const MARK: char = '…';
    let body = text.trim_end_matches(MARK).len();
    if body == 0 {
        return false;
    }
    let mut end = body.saturating_sub(bytes + MARK.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push(MARK);
    true
}

//! The exit codes of every `blit` command that copies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run ended. The numbers are a public contract and never change their meaning.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum ExitCode {
    /// Everything is as asked.
    Complete = 0,
    /// An error without a code of its own.
    OtherError = 1,
    /// Wrong usage.
    Usage = 2,
    /// Some entries failed.
    EntriesFailed = 10,
    /// Deletions were withheld.
    DeletionsWithheld = 11,
    /// Refused by the guard.
    GuardRefused = 12,
    /// The source changed while it was read.
    SourceChanged = 13,
    /// Contents differ.
    VerificationFailed = 14,
    /// The destination is full.
    DestinationFull = 20,
    /// A root may not be used.
    PermissionDenied = 21,
    /// The other side cannot be reached.
    PeerUnreachable = 30,
    /// One side does not accept the identity of the other.
    NotAuthenticated = 31,
    /// The two sides do not speak the same version.
    IncompatibleVersions = 32,
    /// Nothing moved for the progress deadline.
    Stalled = 40,
    /// The time for the whole run is over.
    DeadlineExceeded = 41,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl ExitCode {
    /// All codes in ascending order.
    pub const ALL: [Self; 16] = [
        Self::Complete,
        Self::OtherError,
        Self::Usage,
        Self::EntriesFailed,
        Self::DeletionsWithheld,
        Self::GuardRefused,
        Self::SourceChanged,
        Self::VerificationFailed,
        Self::DestinationFull,
        Self::PermissionDenied,
        Self::PeerUnreachable,
        Self::NotAuthenticated,
        Self::IncompatibleVersions,
        Self::Stalled,
        Self::DeadlineExceeded,
        Self::Interrupted,
    ];

    /// Failures in the order of their weight: where several hold, the first is the exit code.
    pub const PRECEDENCE: [Self; 15] = [
        Self::Interrupted,
        Self::Usage,
        Self::NotAuthenticated,
        Self::IncompatibleVersions,
        Self::PeerUnreachable,
        Self::DeadlineExceeded,
        Self::Stalled,
        Self::DestinationFull,
        Self::GuardRefused,
        Self::VerificationFailed,
        Self::PermissionDenied,
        Self::SourceChanged,
        Self::EntriesFailed,
        Self::DeletionsWithheld,
        Self::OtherError,
    ];

    /// Returns the number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the code with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Returns the code of a run for which several hold: the heaviest, or [`ExitCode::Complete`] if
    /// none does.
    pub fn heaviest(codes: impl IntoIterator<Item = Self>) -> Self {
        let weight = |code: &Self| Self::PRECEDENCE.iter().position(|known| known == code);
        codes
            .into_iter()
            .filter_map(|code| weight(&code).map(|weight| (weight, code)))
            .min_by_key(|(weight, _)| *weight)
            .map_or(Self::Complete, |(_, code)| code)
    }

    /// Returns what the code means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Complete => "complete: the destination is as asked",
            Self::OtherError => "an error that has no code of its own",
            Self::Usage => {
                "wrong usage: an unknown option, an invalid manifest, a missing source, one tree \
                 inside the other, or `mirror` of a single file"
            }
            Self::EntriesFailed => "some entries could not be copied; all others were",
            Self::DeletionsWithheld => {
                "everything was copied, but deletions were withheld below directories that could \
                 not be listed completely"
            }
            Self::GuardRefused => "the guard refused the deletions; nothing was deleted",
            Self::SourceChanged => {
                "files changed while they were read; for those the destination keeps its old version"
            }
            Self::VerificationFailed => {
                "content could not be verified, or `verify` found differences"
            }
            Self::DestinationFull => "the destination has no space or no quota left",
            Self::PermissionDenied => {
                "permission denied on the root of the source or the destination"
            }
            Self::PeerUnreachable => "the other side cannot be reached, or was lost",
            Self::NotAuthenticated => "one side does not accept the identity of the other",
            Self::IncompatibleVersions => "the two sides do not speak a common protocol version",
            Self::Stalled => {
                "nothing moved for the whole progress deadline, or both sides waited for each other for 10 s"
            }
            Self::DeadlineExceeded => "the time for the whole run is over",
            Self::Interrupted => "interrupted by a signal; nothing is half-written",
        }
    }

    /// Returns what a person can do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Complete => "nothing to do",
            Self::OtherError => "read the message; it names the object and the cause",
            Self::Usage => "mend the command line or the manifest as the message says",
            Self::EntriesFailed => {
                "read which entries failed and why, and run again; entries that may not be read need \
                 root, in a pod `mover.podSecurity: Baseline`"
            }
            Self::DeletionsWithheld => {
                "mend the directories that are named (permissions, I/O errors) and run again"
            }
            Self::GuardRefused => {
                "check that the source is mounted and the destination is the right one; then allow it \
                 with `--allow-empty-source` or `--max-delete` (`deletion.allowEmptySource`, \
                 `deletion.maxDelete`)"
            }
            Self::SourceChanged => {
                "run again when the source is quieter, or mirror a snapshot of it"
            }
            Self::VerificationFailed => {
                "check the disks and the memory of both hosts, and run again"
            }
            Self::DestinationFull => {
                "make space or enlarge the volume, and run again: what has arrived is kept"
            }
            Self::PermissionDenied => {
                "run as a user who may read the source and write the destination; in a pod that takes \
                 `mover.podSecurity: Baseline` or the owner's number in \
                 `mover.securityContext.runAsUser`"
            }
            Self::PeerUnreachable => {
                "check that the other side runs and that its ports are open in firewalls and network \
                 policies; a second run copies only what is missing"
            }
            Self::NotAuthenticated => {
                "give both sides certificates of one authority, or a token that has not expired"
            }
            Self::IncompatibleVersions => "use the same release of blit on both sides",
            Self::Stalled => {
                "look for the call that the message names: a hanging network file system or disk; a \
                 second run resumes"
            }
            Self::DeadlineExceeded => {
                "allow more time and run again; a second run copies only what is missing"
            }
            Self::Interrupted => "run again; a second run copies only what is missing",
        }
    }
}

/// Returns how an attempt ended, from how its two movers did; `None` is a mover that left no code.
///
/// The destination decides and reports, so its word counts. But when one side goes, the other leaves
/// with [`ExitCode::PeerUnreachable`], or is asked to end: then the side that went first knows why.
pub fn of_attempt(source: Option<ExitCode>, destination: Option<ExitCode>) -> ExitCode {
    match (source, destination) {
        (Some(source), Some(ExitCode::PeerUnreachable) | None) if source != ExitCode::Complete => {
            source
        }
        (Some(source), Some(ExitCode::Interrupted)) if knows_why(source) => source,
        (_, Some(destination)) => destination,
        (_, None) => ExitCode::OtherError,
    }
}

/// Whether a mover that ended so did by itself, and not because of the other one.
fn knows_why(code: ExitCode) -> bool {
    !matches!(
        code,
        ExitCode::Complete | ExitCode::PeerUnreachable | ExitCode::Interrupted
    )
}

/// A number that is not an exit code of Blit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an exit code of blit; see docs/reference/exit-codes.md")]
pub struct UnknownExitCode(u8);

impl TryFrom<u8> for ExitCode {
    type Error = UnknownExitCode;

    fn try_from(code: u8) -> Result<Self, Self::Error> {
        Self::from_code(code).ok_or(UnknownExitCode(code))
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        code.code()
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}: {}", self.code(), self.meaning())
    }
}

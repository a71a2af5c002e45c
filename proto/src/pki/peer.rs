//! Names of peers: the URI in a certificate that says who holds it. Pure.

use std::fmt;
use std::str::FromStr;

/// Side of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Where the files come from.
    Source,
    /// Where the files go to.
    Destination,
}

impl Role {
    /// Returns the word used in certificates and on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who a certificate was issued to.
///
/// Written `blit://UID/ATTEMPT/source`, `blit://UID/ATTEMPT/destination` or `blit://operator/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// One side of one attempt of a job.
    Mover {
        /// UID of the job.
        job_uid: String,
        /// Attempt, from 1.
        attempt: u32,
        /// Which side.
        role: Role,
    },
    /// Somebody who follows progress and may cancel, but moves no data.
    Operator {
        /// Which one.
        name: String,
    },
}

/// A string is not the name of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the name of a peer: expected blit://UID/ATTEMPT/source, \
     blit://UID/ATTEMPT/destination or blit://operator/NAME"
)]
pub struct PeerNameError(String);

/// Longest UID or operator name, in bytes; a UID of Kubernetes has 36.
const WORD_BYTES: usize = 128;

const SCHEME: &str = "blit://";
const OPERATOR: &str = "operator";

impl PeerName {
    /// Returns the name of one side of an attempt; `job_uid` is checked.
    pub fn mover(job_uid: &str, attempt: u32, role: Role) -> Result<Self, PeerNameError> {
        format!("{SCHEME}{job_uid}/{attempt}/{role}").parse()
    }

    /// Returns the name of an operator; `name` is checked.
    pub fn operator(name: &str) -> Result<Self, PeerNameError> {
        format!("{SCHEME}{OPERATOR}/{name}").parse()
    }

    /// Returns the other side of the same attempt; `None` for an operator.
    pub fn counterpart(&self) -> Option<Self> {
        match self {
            Self::Mover {
                job_uid,
                attempt,
                role,
            } => Some(Self::Mover {
                job_uid: job_uid.clone(),
                attempt: *attempt,
                role: match role {
                    Role::Source => Role::Destination,
                    Role::Destination => Role::Source,
                },
            }),
            Self::Operator { .. } => None,
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mover {
                job_uid,
                attempt,
                role,
            } => {
                write!(f, "{SCHEME}{job_uid}/{attempt}/{role}")
            }
            Self::Operator { name } => write!(f, "{SCHEME}{OPERATOR}/{name}"),
        }
    }
}

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| PeerNameError(text.chars().take(256).collect()))
    }
}

/// Who may take part in a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPattern {
    /// This one only.
    Exactly(PeerName),
    /// Any operator that a trusted authority signed for.
    AnyOperator,
}

impl PeerPattern {
    /// Returns true if `peer` is meant.
    pub fn matches(&self, peer: &PeerName) -> bool {
        match self {
            Self::Exactly(expected) => expected == peer,
            Self::AnyOperator => matches!(peer, PeerName::Operator { .. }),
        }
    }
}

impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(peer) => peer.fmt(f),
            Self::AnyOperator => write!(f, "{SCHEME}{OPERATOR}/*"),
        }
    }
}

fn parse(text: &str) -> Option<PeerName> {
    let mut words = text.strip_prefix(SCHEME)?.split('/');
    let first = words.next()?;
    let name = if first == OPERATOR {
        PeerName::Operator {
            name: word(words.next()?)?,
        }
    } else {
        let job_uid = word(first)?;
        let digits = words.next()?;
        let attempt: u32 = digits.parse().ok()?;
        // One spelling for each name: no `+1`, no `01`.
        if attempt == 0 || attempt.to_string() != digits {
            return None;
        }
        let role = match words.next()? {
            "source" => Role::Source,
            "destination" => Role::Destination,
            _ => return None,
        };
        PeerName::Mover {
            job_uid,
            attempt,
            role,
        }
    };
    words.next().is_none().then_some(name)
}

fn word(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ((1..=WORD_BYTES).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;

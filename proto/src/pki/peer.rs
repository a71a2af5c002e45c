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
/// Written `blit://UID/ATTEMPT/source`, `blit://UID/ATTEMPT/destination`, `blit://operator/NAME`,
/// `blit://daemon/NAME` or `blit://client/NAME/SCOPES/PREFIX`.
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
    /// A daemon that people run.
    Daemon {
        /// Which one, for people.
        name: String,
    },
    /// A client of a daemon, with what it may do there.
    Client {
        /// Which one, for people.
        name: String,
        /// Scopes, with dots between them: `read.write.delete`.
        scopes: String,
        /// Path that it may use, below the root of the daemon: base64url, `-` for all of it.
        prefix: String,
    },
}

/// A string is not the name of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the name of a peer: expected blit://UID/ATTEMPT/source, \
     blit://UID/ATTEMPT/destination, blit://operator/NAME, blit://daemon/NAME or \
     blit://client/NAME/SCOPES/PREFIX"
)]
pub struct PeerNameError(String);

/// Longest UID or operator name, in bytes; a UID of Kubernetes has 36.
const WORD_BYTES: usize = 128;

const SCHEME: &str = "blit://";
const OPERATOR: &str = "operator";
const DAEMON: &str = "daemon";
const CLIENT: &str = "client";

/// Longest prefix of a client, in bytes of base64.
const PREFIX_BYTES: usize = 2048;

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
            Self::Operator { .. } | Self::Daemon { .. } | Self::Client { .. } => None,
        }
    }

    /// Returns the name of a daemon; `name` is checked.
    pub fn daemon(name: &str) -> Result<Self, PeerNameError> {
        format!("{SCHEME}{DAEMON}/{name}").parse()
    }

    /// Returns the name of a client of a daemon; all of it is checked.
    pub fn client(name: &str, scopes: &str, prefix: &str) -> Result<Self, PeerNameError> {
        format!("{SCHEME}{CLIENT}/{name}/{scopes}/{prefix}").parse()
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
            Self::Daemon { name } => write!(f, "{SCHEME}{DAEMON}/{name}"),
            Self::Client {
                name,
                scopes,
                prefix,
            } => write!(f, "{SCHEME}{CLIENT}/{name}/{scopes}/{prefix}"),
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
    /// Any daemon that a trusted authority signed for.
    AnyDaemon,
    /// Any client of a daemon that a trusted authority signed for.
    AnyClient,
}

impl PeerPattern {
    /// Returns true if `peer` is meant.
    pub fn matches(&self, peer: &PeerName) -> bool {
        match self {
            Self::Exactly(expected) => expected == peer,
            Self::AnyOperator => matches!(peer, PeerName::Operator { .. }),
            Self::AnyDaemon => matches!(peer, PeerName::Daemon { .. }),
            Self::AnyClient => matches!(peer, PeerName::Client { .. }),
        }
    }
}

impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(peer) => peer.fmt(f),
            Self::AnyOperator => write!(f, "{SCHEME}{OPERATOR}/*"),
            Self::AnyDaemon => write!(f, "{SCHEME}{DAEMON}/*"),
            Self::AnyClient => write!(f, "{SCHEME}{CLIENT}/*"),
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
    } else if first == DAEMON {
        PeerName::Daemon {
            name: word(words.next()?)?,
        }
    } else if first == CLIENT {
        PeerName::Client {
            name: word(words.next()?)?,
            scopes: word(words.next()?)?,
            prefix: word_of(words.next()?, PREFIX_BYTES)?,
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
    word_of(text, WORD_BYTES)
}

fn word_of(text: &str, most: usize) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ((1..=most).contains(&text.len()) && text.bytes().all(allowed)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;

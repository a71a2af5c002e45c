//! What messages and frames mean, without input or output: encoding, decoding with limits, and the rules
//! of a session as plain values. Everything here is fed by property tests with random bytes.
//!
//! Non-goals: sockets, gRPC, time.

pub(crate) mod codes;
pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod frame;
pub(crate) mod listing;
pub(crate) mod mirror;
pub(crate) mod order;
pub(crate) mod parts;
pub(crate) mod reader;
pub(crate) mod split;
pub(crate) mod wants;

#[cfg(test)]
pub(crate) mod any_message;

/// The other side sent something that the protocol does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side broke the protocol: {0}; install the same release of blit on both sides")]
pub struct Violation(String);

impl Violation {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Returns the beginning of a text, at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

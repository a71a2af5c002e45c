//! A pull carries what a push carries, with client and server changed: envelopes around the messages of a push.
//!
//! What a source and a destination say to each other has one vocabulary, that of a push. So everything but
//! opening a session is the same for both ways to dial.

use blit_proto::v2::client_push_request::Message as Said;
use blit_proto::v2::server_push_response::Message as Answered;
use blit_proto::v2::{
    ClientPushRequest, DestinationFailed, PullChunk, PullRequest, ServerPushResponse, pull_chunk,
    pull_request,
};
use tonic::Status;

use super::{Violation, cut};

/// Longest reason that is passed on, in bytes.
const REASON_BYTES: usize = 4096;

/// Puts what a destination says into a message of a pull. A status ends a push; a client has none to send, so
/// that it becomes a message.
pub(crate) fn to_source(said: Result<ServerPushResponse, Status>) -> PullRequest {
    let message = match said {
        Ok(said) => pull_request::Message::Said(said),
        Err(status) => pull_request::Message::Failed(DestinationFailed {
            message: cut(status.message(), REASON_BYTES).to_owned(),
        }),
    };
    PullRequest {
        message: Some(message),
    }
}

/// Returns what the destination of a pull said, or the status with which it would have ended a push.
pub(crate) fn from_destination(request: PullRequest) -> Result<ServerPushResponse, Status> {
    match request.message {
        Some(pull_request::Message::Said(said)) => match said.message {
            // Who listens makes the tokens.
            Some(Answered::Negotiation(negotiation)) if !negotiation.one_time_tokens.is_empty() => {
                Err(invalid("the destination of a pull hands out tokens"))
            }
            _ => Ok(said),
        },
        Some(pull_request::Message::Failed(failed)) => {
            let reason = failed.message.chars().filter(|c| !c.is_control());
            Err(Status::aborted(reason.collect::<String>()))
        }
        Some(pull_request::Message::Header(_)) => Err(invalid("a pull has two headers")),
        // A kind of message that this version does not know.
        None => Ok(ServerPushResponse::default()),
    }
}

/// Puts what a source says into a message of a pull.
pub(crate) fn to_destination(said: ClientPushRequest) -> PullChunk {
    PullChunk {
        message: Some(pull_chunk::Message::Said(said)),
    }
}

/// Returns what the source of a pull said after it opened the session.
pub(crate) fn from_source(chunk: PullChunk) -> Result<ClientPushRequest, Status> {
    match chunk.message {
        Some(pull_chunk::Message::Said(said)) => Ok(said),
        Some(pull_chunk::Message::Negotiation(_)) => Err(invalid("a pull is negotiated twice")),
        // A kind of message that this version does not know.
        None => Ok(ClientPushRequest::default()),
    }
}

/// Returns a message of a source.
pub(crate) fn said(message: Said) -> ClientPushRequest {
    ClientPushRequest {
        message: Some(message),
    }
}

fn invalid(what: &str) -> Status {
    Status::invalid_argument(Violation::new(what).to_string())
}

#[cfg(test)]
mod tests;

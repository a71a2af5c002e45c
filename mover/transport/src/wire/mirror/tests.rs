use blit_proto::v2::client_push_request::Message as Said;
use blit_proto::v2::server_push_response::Message as Answered;
use blit_proto::v2::{
    DataToken, DataTransferNegotiation, DirDone, PullChunk, PullHeader, PullRequest, Relisted,
    ServerPushResponse, pull_chunk, pull_request,
};
use tonic::{Code, Status};

use super::{from_destination, from_source, said, to_destination, to_source};

fn answered(message: Answered) -> ServerPushResponse {
    ServerPushResponse {
        message: Some(message),
    }
}

#[test]
fn what_is_said_in_a_pull_is_what_is_said_in_a_push() {
    let done = answered(Answered::DirDone(DirDone {
        dir: 3,
        part: 1,
        keep: true,
    }));
    let got = from_destination(to_source(Ok(done.clone()))).unwrap();
    assert_eq!(got, done);
    let relisted = said(Said::Relisted(Relisted {
        dir: 3,
        ..Relisted::default()
    }));
    assert_eq!(
        from_source(to_destination(relisted.clone())).unwrap(),
        relisted
    );
}

#[test]
fn the_status_that_ends_a_push_is_a_message_of_a_pull_and_its_reason_arrives() {
    let request = to_source(Err(Status::invalid_argument("no\u{1b} such")));
    let status = from_destination(request).unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!(status.message(), "no such");
}

#[test]
fn a_destination_that_dials_makes_no_tokens_and_opens_once() {
    let tokens = DataTransferNegotiation {
        one_time_tokens: vec![DataToken::default()],
        ..DataTransferNegotiation::default()
    };
    let header = PullRequest {
        message: Some(pull_request::Message::Header(PullHeader::default())),
    };
    for wrong in [
        to_source(Ok(answered(Answered::Negotiation(tokens)))),
        header,
    ] {
        let status = from_destination(wrong).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[test]
fn a_source_negotiates_once() {
    let again = PullChunk {
        message: Some(pull_chunk::Message::Negotiation(
            DataTransferNegotiation::default(),
        )),
    };
    assert_eq!(
        from_source(again).unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[test]
fn messages_of_a_later_version_are_passed_over() {
    assert_eq!(
        from_destination(PullRequest::default()).unwrap().message,
        None
    );
    assert_eq!(from_source(PullChunk::default()).unwrap().message, None);
}

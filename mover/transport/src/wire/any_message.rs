//! Messages that were altered on purpose: what a peer can make of them at worst.

use std::time::{Duration, SystemTime};

use blit_engine::entry::is_valid_name;
use blit_proto::v2::client_push_request::Message as Said;
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::server_push_response::Message as Answered;
use blit_proto::v2::{
    ClientPushRequest, DaemonState, DataToken, DataTransferNegotiation, DataTried, FileHeader,
    FilterRule, Inode, ListResponse, ListingEnd, ListingPart, Location, ManifestComplete,
    PingResponse, PullChunk, PullRequest, PushAsk, PushHeader, Relisted, ServerPushResponse,
    SourceFailed, SourceState, TcpPath, Xattr, XattrList, pull_chunk, pull_request,
};
use blit_proto::version;
use proptest::prelude::*;
use prost::Message;

use super::listing::ListingRules;
use super::{entry, mirror, split};
use crate::auth::Direction;
use crate::auth::first_frame::FRAME_BYTES;
use crate::auth::token::{Ticket, TokenBook, session_of};
use crate::daemon::Ask;
use crate::reach;
use crate::trial::{Measured, Path};

fn file(name: &[u8], kind: i32) -> FileHeader {
    FileHeader {
        name: name.to_vec(),
        kind,
        mode: 0o644,
        size: 1 << 40,
        nlink: 2,
        target: (kind == 3).then(|| b"../x".to_vec()),
        dir: (kind == 2).then_some(7),
        xattrs: Some(XattrList {
            attributes: vec![Xattr {
                name: b"user.a".to_vec(),
                value: b"b".to_vec(),
            }],
        }),
        ..FileHeader::default()
    }
}

/// One of everything that a source says.
pub(crate) fn said() -> Vec<Said> {
    let part = ListingPart {
        dir: 0,
        part: 0,
        entries: (1..=7).map(|kind| file(b"name", kind)).collect(),
        end: Some(ListingEnd {
            outcome: Some(Outcome::CompleteCount(7)),
            ..ListingEnd::default()
        }),
    };
    vec![
        Said::Header(PushHeader {
            hello: Some(version::hello()),
            root: Some(file(b"", 2)),
            location: Some(Location {
                boot_id: "boot".to_owned(),
                chain: vec![Inode::default(); 3],
            }),
            ask: Some(PushAsk {
                path: b"a/b".to_vec(),
                max_delete: "10%".to_owned(),
                filters: vec![FilterRule {
                    exclude: true,
                    pattern: b"*.[a-z]**/x".to_vec(),
                }],
                ..PushAsk::default()
            }),
            ..PushHeader::default()
        }),
        Said::Part(part),
        Said::ManifestComplete(ManifestComplete {
            directories: 1,
            entries: 7,
        }),
        Said::Relisted(Relisted {
            names: vec![b"x".to_vec()],
            ..Relisted::default()
        }),
        Said::Failed(SourceFailed::default()),
    ]
}

/// Takes a message as a destination does.
fn take(message: Said) {
    match message {
        Said::Header(header) => {
            if let Some(root) = header.root {
                let _ = entry::root_from_header(root);
            }
            if let Some(location) = header.location {
                crate::location::Location::from_wire(location);
            }
            if let Some(ask) = header.ask {
                let _ = Ask::from_wire(ask, header.single_file);
            }
        }
        Said::Part(part) => {
            let _ = ListingRules::new().part(&part);
            if let Ok(part) = split::part_from_wire(part) {
                let names = part.entries.iter().map(|entry| &entry.name);
                assert!(names.into_iter().all(|name| is_valid_name(name)));
            }
        }
        Said::ManifestComplete(end) => drop(ListingRules::new().complete(&end)),
        // Taken by a session, which has a test of its own for that.
        Said::Relisted(_) | Said::Failed(_) => {}
    }
}

/// What somebody may do to the bytes of a message.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize),
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let some = proptest::collection::vec(any::<u8>(), 1..12);
    prop_oneof![
        4 => (any::<usize>(), 1..=255u8).prop_map(|(at, with)| Change::Flip(at, with)),
        1 => any::<usize>().prop_map(Change::Cut),
        2 => (any::<usize>(), some).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => any::<usize>().prop_map(Change::Repeat),
    ]
}

pub(crate) fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let place = |at: &usize| at % (bytes.len() + 1);
        match change {
            Change::Flip(at, with) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= with;
                }
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Change::Repeat(at) => {
                let rest = bytes[place(at)..].to_vec();
                bytes.extend(rest);
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn altered_words_of_a_source_are_taken_or_refused(
        which in 0..5usize,
        changes in proptest::collection::vec(change(), 1..5),
    ) {
        let message = ClientPushRequest { message: Some(said().swap_remove(which)) };
        let pushed = changed(message.encode_to_vec(), &changes);
        if let Ok(ClientPushRequest { message: Some(message) }) = ClientPushRequest::decode(&*pushed) {
            take(message);
        }
        let chunk = PullChunk { message: Some(pull_chunk::Message::Said(message)) };
        if let Ok(chunk) = PullChunk::decode(&*changed(chunk.encode_to_vec(), &changes))
            && let Ok(ClientPushRequest { message: Some(message) }) = mirror::from_source(chunk)
        {
            take(message);
        }
    }

    #[test]
    fn altered_words_of_a_destination_hand_out_no_tokens(
        changes in proptest::collection::vec(change(), 0..5),
        tokens in any::<bool>(),
    ) {
        let negotiation = DataTransferNegotiation {
            one_time_tokens: vec![DataToken::default(); usize::from(tokens)],
            files_to_upload: vec![1; 40].into(),
            ..DataTransferNegotiation::default()
        };
        let said = ServerPushResponse { message: Some(Answered::Negotiation(negotiation)) };
        let request = PullRequest { message: Some(pull_request::Message::Said(said)) };
        if let Ok(request) = PullRequest::decode(&*changed(request.encode_to_vec(), &changes))
            && let Ok(ServerPushResponse { message: Some(Answered::Negotiation(taken)) }) =
                mirror::from_destination(request)
        {
            prop_assert!(taken.one_time_tokens.is_empty());
            let _ = super::wants::unpack(&taken.files_to_upload);
        }
    }

    #[test]
    fn altered_tokens_open_no_stream(changes in proptest::collection::vec(change(), 1..5)) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let book = TokenBook::new("session", Direction::Push, b"certificate").unwrap();
        let token = book.mint(0, now).unwrap();
        // As the dialler reads it, who believes what came over the control plane, and may refuse it.
        if let Ok(altered) = DataToken::decode(&*changed(token.encode_to_vec(), &changes)) {
            let _ = Ticket::new(&altered);
        }
        let frame = Ticket::new(&token).unwrap().frame;
        let mut altered = changed(frame.to_vec(), &changes);
        altered.resize(FRAME_BYTES, 0);
        let altered: [u8; FRAME_BYTES] = altered.try_into().unwrap();
        let _ = session_of(&altered);
        // What stands behind the proof is zeros that nobody looks at, and a change may change nothing.
        let meant = frame.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        if altered[..=meant] != frame[..=meant] {
            prop_assert!(book.redeem(&altered, now).is_err());
        }
        prop_assert!(book.redeem(&frame, now).is_ok() || altered[..=meant] == frame[..=meant]);
    }

    #[test]
    fn an_altered_first_negotiation_leads_nowhere_but_to_the_address_of_control(
        changes in proptest::collection::vec(change(), 0..5),
    ) {
        let negotiation = DataTransferNegotiation {
            hello: Some(version::hello()),
            data_port: 9032,
            one_time_tokens: vec![DataToken::default(); 2],
            session: "session".to_owned(),
            version: 1,
            verify_key: vec![7; 32],
            ..DataTransferNegotiation::default()
        };
        let control = "192.0.2.7:9031".parse().unwrap();
        if let Ok(told) = DataTransferNegotiation::decode(&*changed(negotiation.encode_to_vec(), &changes))
            && let Ok((address, _)) = reach::plane(&told, control, Duration::from_secs(1), None)
        {
            prop_assert_eq!(address.ip(), control.ip());
            prop_assert_eq!(u32::from(address.port()), told.data_port);
            prop_assert!(address.port() != 0 && !told.one_time_tokens.is_empty());
        }
    }

    #[test]
    fn an_altered_answer_to_a_ping_is_figures_and_leads_nowhere_but_to_the_address_of_control(
        changes in proptest::collection::vec(change(), 0..6),
        (bytes, seconds) in any::<(u64, u64)>(),
    ) {
        let offered = DataTransferNegotiation {
            hello: Some(version::hello()),
            data_port: 9032,
            one_time_tokens: vec![DataToken::default()],
            session: "session".to_owned(),
            version: 1,
            ..DataTransferNegotiation::default()
        };
        let answer = PingResponse {
            hello: Some(version::hello()),
            source: Some(SourceState {
                busy: true,
                waits_for: "a disk".to_owned(),
                lost: vec![1, 2],
                bytes_hashed: 7,
            }),
            daemon: Some(DaemonState {
                scopes: vec!["read".to_owned()],
                ..DaemonState::default()
            }),
            try_receiving: Some(offered.clone()),
            try_sending: Some(offered),
            // Also seconds that are no number.
            tried: Some(DataTried {
                bytes,
                seconds: f64::from_bits(seconds),
                path: Some(TcpPath::default()),
            }),
            ..PingResponse::default()
        };
        let Ok(answer) = PingResponse::decode(&*changed(answer.encode_to_vec(), &changes)) else {
            return Ok(());
        };
        let theirs = answer.hello.unwrap_or_default();
        if let Err(mismatch) = version::negotiate(&version::hello(), &theirs) {
            let shown = mismatch.to_string();
            prop_assert!(shown.len() < 1000 && !shown.contains(|c: char| c.is_control()), "{shown:?}");
        }
        let control = "192.0.2.7:9031".parse().unwrap();
        for offered in [&answer.try_receiving, &answer.try_sending].into_iter().flatten() {
            if let Ok((address, _)) = reach::plane(offered, control, Duration::from_secs(1), None) {
                prop_assert!(address.ip() == control.ip() && address.port() != 0);
                let _ = offered.one_time_tokens.first().map(Ticket::new);
            }
        }
        if let Some(tried) = answer.tried {
            let path = tried.path.as_ref().map(Path::from_wire);
            let time = tried.seconds;
            match Measured::from_wire(&tried, path) {
                Ok(measured) => {
                    prop_assert!(time >= 0.0 && (measured.took.as_secs_f64() - time).abs() <= time / 1e9 + 1e-9);
                    prop_assert!(measured.bytes == tried.bytes);
                    prop_assert!(measured.rate().is_none() || measured.bytes > 0);
                }
                Err(_) => prop_assert!(!time.is_finite() || time < 0.0 || time >= u64::MAX as f64),
            }
        }
    }

    #[test]
    fn an_altered_list_holds_names_of_files_or_is_refused(
        changes in proptest::collection::vec(change(), 0..5),
    ) {
        let entries = (1..=7).map(|kind| FileHeader { dir: None, ..file(b"name", kind) });
        let list = ListResponse {
            entries: entries.collect(),
            end: Some(ListingEnd {
                outcome: Some(Outcome::CompleteCount(7)),
                ..ListingEnd::default()
            }),
        };
        if let Ok(list) = ListResponse::decode(&*changed(list.encode_to_vec(), &changes)) {
            for header in list.entries {
                if let Ok(entry) = entry::listed(header) {
                    prop_assert!(is_valid_name(&entry.name) && entry.dir.is_none());
                }
            }
        }
    }
}

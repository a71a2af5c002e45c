//! What a destination may say at worst, to a source that serves. There is no network: words go in, words come out.

use std::fs;
use std::path::Path;

use blit_engine::tree::ScanOptions;
use blit_proto::v2::{
    ClientPushRequest, DataStreams, DataToken, DataTransferNegotiation, DirDone, PlaneTried,
    PullRequest, Relist, RunEvents, StreamState, StreamsResponse, pull_request,
};
use proptest::prelude::*;
use prost::Message;
use tokio::runtime::Runtime;

use super::doors::Event;
use super::*;
use crate::auth::token::Ticket;
use crate::data::Close;
use crate::planes::PlaneKind;
use crate::wire::any_message::{change, changed};
use crate::wire::mirror;
use crate::wire::wants;

/// How long a session may take that has nothing to wait for.
const SOON: Duration = Duration::from_secs(30);

/// The names in the tree.
const NAMES: [&str; 3] = ["a", "b", "c"];

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in NAMES {
        fs::write(root.path().join(name), name).unwrap();
    }
    root
}

fn serving(root: &Path) -> (Serving, mpsc::Receiver<ClientPushRequest>) {
    let offer = Offer {
        source: LocalSource::open(root, ScanOptions::default()).unwrap(),
        display: "a tree".to_owned(),
        single_file: false,
        peer: "the destination".to_owned(),
        progress_deadline: Some(SOON),
        scan_threads: Some(1),
        on_slow: Arc::new(|_, _, _| ()),
        block_queue: false,
        stop: Stop::new(),
    };
    let (outbound, heard) = mpsc::channel(16);
    let explain = Box::new(|status: &Status| lost("the destination", status.message()));
    let mut serving = Serving::new(offer, outbound, explain);
    serving.on_events = Some(Arc::new(|_| ()));
    (serving, heard)
}

/// Lists the tree, so that all of it may be asked for.
fn list(serving: &Serving, heard: &mut mpsc::Receiver<ClientPushRequest>) {
    serving.start_scan().unwrap();
    loop {
        let word = heard.blocking_recv().unwrap();
        if let Some(Request::ManifestComplete(_)) = word.message {
            return;
        }
    }
}

/// One of everything that a destination says once a session is open.
fn answers() -> Vec<Response> {
    // File 0, directory 0, part 0, positions 0 and 1.
    let wanted = vec![7, 0, 0, 0, 8, 0, 0, 1];
    let summary = PushSummary {
        result: "Complete".to_owned(),
        bytes_per_second: 1e9,
        zero_copy_share: 0.5,
        tried: vec![PlaneTried {
            kind: "TCP".to_owned(),
            reason: "no".to_owned(),
        }],
        ..PushSummary::default()
    };
    vec![
        Response::Negotiation(DataTransferNegotiation {
            files_to_upload: wanted.clone().into(),
            files_to_hash: wanted,
            // One range from 0 to 1, and a block.
            ranges_to_upload: vec![9, 0, 0, 2, 1, 0, 1],
            blocks_to_hash: vec![9, 0, 0, 2, 0, 1],
            ..DataTransferNegotiation::default()
        }),
        Response::DirDone(DirDone {
            keep: true,
            ..DirDone::default()
        }),
        Response::Relist(Relist { dir: 0 }),
        Response::Progress(ProgressUpdate {
            phase: "copy".to_owned(),
            elapsed_seconds: 1.5,
            summary: Some(summary.clone()),
            ..ProgressUpdate::default()
        }),
        Response::Summary(summary),
        Response::Events(RunEvents {
            events: vec![b"{}".to_vec()],
        }),
        Response::Streams(DataStreams {
            states: vec![StreamState {
                stream: 1,
                frames: 3,
                over: true,
                bytes: 9,
                leave: true,
            }],
        }),
    ]
}

fn answer(message: Response) -> ServerPushResponse {
    ServerPushResponse {
        message: Some(message),
    }
}

/// Says words to a source and closes; returns what came of it, and what the source has said.
fn said_to(
    runtime: &Runtime,
    root: &Path,
    words: Vec<Result<ServerPushResponse, Status>>,
) -> (
    Result<PushSummary, TransportError>,
    Vec<ClientPushRequest>,
    usize,
) {
    let (mut serving, mut heard) = serving(root);
    list(&serving, &mut heard);
    let ended = runtime.block_on(async {
        let (_streams, opened) = mpsc::unbounded_channel();
        let mut doors = Doors::Listening {
            opened,
            recovers: true,
        };
        let tell = Tell::Asked(Arc::default());
        let mut words = tokio_stream::iter(words);
        timeout(SOON, serving.converse(&mut words, &mut doors, tell)).await
    });
    let waiting = serving.queue.waiting();
    let waiting = waiting.files + waiting.answers;
    // Nothing else keeps the other end open but what is still being listed.
    drop(serving.end(Err(lost("", ""))));
    let mut replies = Vec::new();
    while let Some(reply) = heard.blocking_recv() {
        replies.push(reply);
    }
    (ended.expect("it goes on for ever"), replies, waiting)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn altered_words_of_a_destination_are_followed_or_end_the_session(
        words in proptest::collection::vec(
            (0..7usize, proptest::collection::vec(change(), 0..4)),
            1..5,
        ),
        pulls in any::<bool>(),
    ) {
        let runtime = Runtime::new().unwrap();
        let root = tree();
        let words = words.into_iter().filter_map(|(which, changes)| {
            let word = answer(answers().swap_remove(which));
            match pulls {
                false => ServerPushResponse::decode(&*changed(word.encode_to_vec(), &changes)).ok().map(Ok),
                true => {
                    let word = PullRequest { message: Some(pull_request::Message::Said(word)) };
                    let word = PullRequest::decode(&*changed(word.encode_to_vec(), &changes)).ok()?;
                    Some(mirror::from_destination(word))
                }
            }
        });
        let words: Vec<_> = words.collect();
        let ends = words.iter().any(|word| {
            matches!(word, Ok(ServerPushResponse { message: Some(Response::Summary(_)) }))
        });
        let (ended, replies, waiting) = said_to(&runtime, root.path(), words);
        prop_assert!(ended.is_err() || ends, "a result that nobody told");
        // Whatever was asked for, only what was listed is sent: three files at most for each of four words.
        prop_assert!(waiting <= 4 * 2 * wants::WANTS_PER_MESSAGE);
        for reply in replies {
            let Some(Request::Relisted(again)) = reply.message else {
                panic!("{reply:?}");
            };
            prop_assert!(again.names.iter().all(|name| NAMES.iter().any(|known| known.as_bytes() == name)));
            prop_assert!(again.last && (again.names.len() == NAMES.len() || !again.error.is_empty()));
        }
    }
}

/// The end of a stream on which nothing was sent.
struct Nothing;

impl Close for Nothing {
    fn close(&self) {}
}

proptest! {
    #[test]
    fn an_altered_answer_about_streams_is_taken_or_ends_the_session(
        changes in proptest::collection::vec(change(), 0..5),
        (frames, bytes) in any::<(u64, u64)>(),
    ) {
        let state = |stream, over| StreamState {
            stream,
            frames,
            over,
            bytes,
            leave: !over,
        };
        let answer = StreamsResponse {
            states: vec![state(1, false), state(2, true), state(3, true)],
            one_time_tokens: vec![DataToken { stream: 4, ..DataToken::default() }; 2],
        };
        let Ok(answer) = StreamsResponse::decode(&*changed(answer.encode_to_vec(), &changes)) else {
            return Ok(());
        };
        // As the dialler reads them.
        for token in &answer.one_time_tokens {
            let _ = Ticket::new(token);
        }
        let root = tree();
        let (mut serving, _heard) = serving(root.path());
        serving.streams.recover();
        for stream in [1, 2] {
            prop_assert!(serving.streams.add(stream, PlaneKind::Tcp, Arc::new(Nothing)).is_some());
        }
        let told = answer.states.iter().any(|state| [1, 2].contains(&state.stream) && (state.frames, state.bytes) != (0, 0));
        match serving.door(Event::Answer(answer)) {
            Ok(()) => {}
            // More than was sent has not arrived.
            Err(TransportError::Protocol(_)) => prop_assert!(told),
            Err(error) => panic!("{error}"),
        }
        // Nothing was sent, so nothing of it was lost.
        let waiting = serving.queue.waiting();
        prop_assert_eq!((waiting.files, waiting.answers), (0, 0));
    }
}

#[test]
fn whatever_a_destination_may_say_is_understood() {
    let runtime = Runtime::new().unwrap();
    let root = tree();
    let mut words = answers();
    // After it nothing may be asked for, and the result ends the session.
    words.rotate_left(2);
    words.retain(|word| !matches!(word, Response::Summary(_)));
    let asks = words
        .iter()
        .position(|word| matches!(word, Response::Negotiation(_)));
    let asks = words.remove(asks.unwrap());
    words.insert(0, asks);
    words.push(answers().swap_remove(4));
    let words = words.into_iter().map(|word| Ok(answer(word))).collect();
    let (ended, replies, waiting) = said_to(&runtime, root.path(), words);
    assert_eq!(ended.unwrap().result, "Complete");
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(waiting, 3);
}

#[test]
fn a_destination_that_has_everything_listed_again_and_reads_nothing_is_left() {
    let runtime = Runtime::new().unwrap();
    let root = tree();
    let (mut serving, heard) = serving(root.path());
    let _inside = runtime.enter();
    for _ in 0..RELISTS_ASKED {
        serving.serve(Response::Relist(Relist { dir: 0 })).unwrap();
    }
    // Those that fit into the channel may have been answered meanwhile.
    let more = (0..=RELISTS_ASKED).map(|_| serving.serve(Response::Relist(Relist { dir: 0 })));
    assert!(more.into_iter().any(|taken| taken.is_err()));
    drop(heard);
}

use blit_engine::fs::Dir;
use blit_proto::v2::{ClientPushRequest, StreamState};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::planes::PlaneKind;
use crate::wire::any_message::{change, changed, said};

fn root() -> Entry {
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir(work.path().join("root")).unwrap();
    let meta = Dir::open_root(work.path()).unwrap().stat(b"root").unwrap();
    Entry {
        name: b"".as_slice().into(),
        meta,
        target: None,
        dir: Some(DirId::ROOT),
        xattrs: None,
    }
}

#[test]
fn of_a_stream_that_the_source_lost_and_that_never_came_it_is_told_that_nothing_arrived() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (outbound, mut told) = mpsc::channel(4);
    let handle = runtime.handle().clone();
    let link = Link::new(root(), false, false, None, outbound, handle);
    link.source_state(SourceState {
        lost: vec![7],
        ..SourceState::default()
    });
    let message = told.try_recv().unwrap().unwrap().message;
    let Some(Message::Streams(DataStreams { states })) = message else {
        panic!("{message:?}");
    };
    let nothing = StreamState {
        stream: 7,
        over: true,
        ..StreamState::default()
    };
    assert_eq!(states, [nothing]);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_session_whose_streams_come_and_go_is_not_one_without_streams() {
    struct Nothing;
    impl crate::data::Close for Nothing {
        fn close(&self) {}
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (outbound, _told) = mpsc::channel(4);
    let handle = runtime.handle().clone();
    let link = Link::new(root(), false, false, None, outbound, handle);
    let comes_and_goes = |number| {
        let added = (link.streams).add(number, PlaneKind::Tcp, Arc::new(Nothing));
        assert!(added.is_some());
        link.streams.over(number).unwrap();
        link.streams.count()
    };
    let first = comes_and_goes(0);
    let second = comes_and_goes(1);
    // The time since the first was over is up: there was another meanwhile.
    link.check_streams(first, "it broke");
    assert!(link.lost().is_none(), "{:?}", link.lost());
    link.check_streams(second, "it broke");
    let lost = link.lost().unwrap().to_string();
    assert!(lost.contains("it broke, and no other was opened"), "{lost}");
}

/// Returns true for what may go to a terminal as it is.
fn is_plain(text: &str) -> bool {
    text.chars().count() < 20_000 && !text.contains(|c: char| c.is_control())
}

#[test]
fn why_a_directory_could_not_be_listed_again_may_be_shown() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (outbound, _told) = mpsc::channel(4);
    let link = Link::new(
        root(),
        false,
        false,
        None,
        outbound,
        runtime.handle().clone(),
    );
    assert!(lock(&link.relists).begin(0));
    let error = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
    let answer = Relisted {
        error,
        ..Relisted::default()
    };
    link.relisted(answer.clone()).unwrap();
    link.relisted(answer).unwrap_err();
    let reason = lock(&link.relists).end(0).unwrap().unwrap_err();
    assert!(is_plain(&reason), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn altered_words_of_a_source_are_taken_or_end_the_session(
        words in proptest::collection::vec(
            (0..5usize, proptest::collection::vec(change(), 0..4)),
            1..5,
        ),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (outbound, mut told) = mpsc::channel(16);
        let link = Link::new(root(), true, true, None, outbound, runtime.handle().clone());
        assert!(lock(&link.relists).begin(0));
        let words: Vec<_> = words
            .into_iter()
            .filter_map(|(which, changes)| {
                let word = ClientPushRequest { message: Some(said().swap_remove(which)) };
                ClientPushRequest::decode(&*changed(word.encode_to_vec(), &changes)).ok().map(Ok)
            })
            .collect();
        let (closed, source_closed) = tokio::sync::oneshot::channel();
        let reading = super::super::reading::read(
            Arc::clone(&link),
            tokio_stream::iter(words),
            closed,
        );
        let limit = Duration::from_secs(30);
        let read = runtime.block_on(async { tokio::time::timeout(limit, reading).await });
        prop_assert!(read.is_ok(), "it reads for ever");
        prop_assert!(runtime.block_on(source_closed).is_ok());
        // The source has closed, whatever it said before: nobody waits for it.
        let lost = link.lost().map(ToString::to_string).unwrap();
        prop_assert!(is_plain(&lost), "{lost:?}");
        while let Ok(next) = link.next(Duration::ZERO) {
            let Next::Part(part) = next else {
                break;
            };
            for entry in part.entries {
                prop_assert!(blit_engine::entry::is_valid_name(&entry.name));
            }
            if let Some(blit_engine::run::End::Incomplete { reason }) = part.end {
                prop_assert!(is_plain(&reason), "{reason:?}");
            }
        }
        match lock(&link.relists).end(0) {
            Some(Ok(names)) => {
                prop_assert!(names.iter().all(|name| blit_engine::entry::is_valid_name(name)));
            }
            Some(Err(reason)) => prop_assert!(is_plain(&reason), "{reason:?}"),
            None => {}
        }
        while let Ok(answer) = told.try_recv() {
            prop_assert!(answer.is_err(), "{answer:?}");
        }
    }

    #[test]
    fn whatever_a_source_says_of_itself_is_bounded_and_plain(
        changes in proptest::collection::vec(change(), 0..6),
        waits_for in any::<String>(),
        lost in proptest::collection::vec(any::<u32>(), 0..200),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (outbound, mut told) = mpsc::channel(4);
        let link = Link::new(root(), false, false, None, outbound, runtime.handle().clone());
        let state = SourceState { busy: true, waits_for, lost, bytes_hashed: 7 };
        let Ok(state) = SourceState::decode(&*changed(state.encode_to_vec(), &changes)) else {
            return Ok(());
        };
        let asked = state.lost.clone();
        link.source_state(state);
        let (Elsewhere::Busy(waits_for) | Elsewhere::Idle(waits_for)) = link.elsewhere() else {
            panic!("there is a source");
        };
        prop_assert!(is_plain(&waits_for), "{waits_for:?}");
        if let Ok(answer) = told.try_recv() {
            let Some(Message::Streams(DataStreams { states })) = answer.unwrap().message else {
                panic!("it was not asked for anything else");
            };
            // Nothing has come over any of them.
            prop_assert!(states.len() <= LOST && states.iter().all(|state| state.frames == 0));
            prop_assert!(states.iter().all(|state| state.over && asked.contains(&state.stream)));
        }
    }
}

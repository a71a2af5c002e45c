use blit_engine::fs::Dir;
use blit_proto::v2::StreamState;

use super::*;
use crate::planes::PlaneKind;

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

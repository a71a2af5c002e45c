use blit_engine::fs::Dir;
use blit_proto::v2::StreamState;

use super::*;

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

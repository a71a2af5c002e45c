use blit_engine::entry::{DirId, Entry};
use blit_engine::fs::Dir;
use blit_engine::run::Want;
use blit_proto::v2::ServerPushResponse;
use blit_proto::v2::server_push_response::Message;
use tonic::Status;

use super::*;
use crate::data::Close;

/// A socket whose other end is far away.
struct Far;

impl Close for Far {
    fn close(&self) {}

    fn round_trip(&self) -> Option<Duration> {
        Some(Duration::from_millis(50))
    }
}

type Said = mpsc::Receiver<Result<ServerPushResponse, Status>>;

/// A session with as many streams as one begins with, and something large to wait for.
fn session() -> (tokio::runtime::Runtime, Arc<Link>, Said) {
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir(work.path().join("root")).unwrap();
    let root = Entry {
        name: b"".as_slice().into(),
        meta: Dir::open_root(work.path()).unwrap().stat(b"root").unwrap(),
        target: None,
        dir: Some(DirId::ROOT),
        xattrs: None,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (outbound, said) = mpsc::channel(64);
    let handle = runtime.handle().clone();
    let link = Link::new(root, false, false, None, outbound, handle);
    link.recover();
    let large = Want {
        id: 1,
        dir: DirId::ROOT,
        part: 0,
        index: 0,
        size: 100 << 30,
        hash: false,
    };
    link.window.admit(&[large]).unwrap();
    for number in 0..tune::STREAMS {
        opens(&link, number);
    }
    (runtime, link, said)
}

fn opens(link: &Link, number: u32) {
    let added = (link.streams).add(number, PlaneKind::Tcp, Arc::new(Far));
    assert!(added.is_some());
}

/// Lets so long pass that what the test itself takes does not matter, while so many bytes arrive.
fn pass(course: &mut Course, link: &Link, bytes: u64) {
    course.begun -= Duration::from_secs(1000);
    link.received.bytes.fetch_add(bytes, Ordering::Relaxed);
    course.tune(link);
}

/// Returns the streams that the source was told to end.
fn told_to_end(said: &mut Said) -> Vec<u32> {
    let mut told = Vec::new();
    while let Ok(Ok(response)) = said.try_recv() {
        if let Some(Message::Streams(streams)) = response.message {
            let leave = streams.states.into_iter().filter(|state| state.leave);
            told.extend(leave.map(|state| state.stream));
        }
    }
    told.sort_unstable();
    told
}

#[test]
fn more_streams_are_asked_for_on_a_long_path_and_those_that_do_not_help_are_to_end() {
    const MUCH: u64 = 200 << 20;
    let (_runtime, link, mut said) = session();
    let mut course = Course::new();
    course.tune(&link);
    assert_eq!(course.missing(&link, 0), 0);
    pass(&mut course, &link, MUCH);
    assert_eq!(course.missing(&link, 0), 2);
    // They come, and bring nothing.
    opens(&link, 2);
    opens(&link, 3);
    course.tune(&link);
    for _ in 0..2 {
        assert_eq!(told_to_end(&mut said), [0_u32; 0]);
        pass(&mut course, &link, MUCH);
    }
    assert_eq!(told_to_end(&mut said), [2, 3]);
    assert_eq!(course.missing(&link, 0), 0);
    // One of the others breaks: it is replaced.
    link.streams.over(1).unwrap();
    assert_eq!(course.missing(&link, 0), 1);
}

#[test]
fn tcp_is_left_where_it_was_dialled_in_vain_and_not_where_no_token_came() {
    let (_runtime, link, _said) = session();
    link.streams.over(0).unwrap();
    let mut course = Course::new();
    course.begun -= Duration::from_secs(60);
    let slow = || Came::NoToken("no answer to a request for a token".to_owned());
    for _ in 0..3 {
        assert_eq!(course.learn(&link, slow()), None);
        course.begun -= Duration::from_secs(60);
    }
    let now = Instant::now();
    let refused = |begun| Came::Nothing(begun, "refused".to_owned());
    assert_eq!(course.learn(&link, refused(now)), None);
    let earlier = now - Duration::from_secs(5);
    assert_eq!(course.learn(&link, Came::Some), None);
    let left = course.learn(&link, refused(earlier));
    assert_eq!(left.as_deref(), Some("refused"));
}

use std::sync::{Condvar, Mutex};
use std::time::Instant;

use blit_engine::entry::{DirId, Entry};
use blit_engine::fs::Dir;
use blit_engine::run::Want;
use blit_proto::v2::server_push_response::Message;
use blit_proto::v2::{ServerPushResponse, StreamsResponse};
use tokio::runtime::Runtime;

use super::*;
use crate::data::{Close, DataPlane, FrameSink};
use crate::error::DataFailure;
use crate::planes::tuning::Tuning;
use crate::sync::{lock, wait};
use crate::tune;

/// How long something may take that is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// A socket whose other end is far away.
struct Far;

impl Close for Far {
    fn close(&self) {}

    fn round_trip(&self) -> Option<Duration> {
        Some(Duration::from_millis(50))
    }
}

/// Something that happens once.
#[derive(Default)]
struct Once {
    happened: Mutex<bool>,
    told: Condvar,
}

impl Once {
    fn happen(&self) {
        *lock(&self.happened) = true;
        self.told.notify_all();
    }

    fn wait(&self) {
        let mut happened = lock(&self.happened);
        while !*happened {
            happened = wait(&self.told, happened);
        }
    }
}

impl Close for Once {
    fn close(&self) {
        self.happen();
    }
}

/// A stream over which nothing comes until it is closed.
struct Silent(Arc<Once>);

impl FrameStream for Silent {
    fn receive(&mut self, _: &mut [u8]) -> std::io::Result<bool> {
        self.0.wait();
        Ok(false)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::clone(&self.0) as Arc<dyn Close>
    }
}

/// A plane that remembers what was dialled, and lets in whom `admits` does.
struct Fake {
    admits: Box<dyn Fn(u32) -> bool + Send + Sync>,
    dialled: Mutex<Vec<u32>>,
}

impl Fake {
    fn new(admits: impl Fn(u32) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            admits: Box::new(admits),
            dialled: Mutex::default(),
        })
    }
}

impl DataPlane for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn open(&self, _: &DataToken) -> Result<Box<dyn FrameSink>, TransportError> {
        unreachable!("a destination receives")
    }

    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError> {
        lock(&self.dialled).push(token.stream);
        match (self.admits)(token.stream) {
            true => Ok(Box::new(Silent(Arc::default()))),
            false => Err(TransportError::Data {
                address: ([192, 0, 2, 1], 9032).into(),
                reason: DataFailure::Refused,
            }),
        }
    }
}

fn tokens(streams: impl IntoIterator<Item = u32>) -> Vec<DataToken> {
    let token = |stream| DataToken {
        stream,
        ..DataToken::default()
    };
    streams.into_iter().map(token).collect()
}

/// A source that gives tokens for streams of new numbers, from 2 on.
fn giving() -> Box<Ask> {
    let next = Mutex::new(2);
    Box::new(move |request| {
        let mut next = lock(&next);
        let first = *next;
        *next += request.tokens;
        let answer = StreamsResponse {
            one_time_tokens: tokens(first..*next),
            ..StreamsResponse::default()
        };
        Box::pin(async move { Ok(answer) })
    })
}

/// Who dials over these planes, with tokens for streams 0 and 1.
fn dialling(
    link: &Arc<Link>,
    (tcp, grpc): (&Arc<Fake>, &Arc<Fake>),
    policy: (PlanePolicy, bool),
    ask: Box<Ask>,
) -> Redialler {
    let planes = Planes {
        address: ([192, 0, 2, 1], 9032).into(),
        tcp: Arc::clone(tcp) as Arc<dyn DataPlane>,
        grpc: Arc::clone(grpc) as Arc<dyn DataPlane>,
    };
    Redialler::new(link, planes, policy, ask, tokens(0..2))
}

/// Says what it means that no token is given.
fn explain(status: &Status) -> TransportError {
    TransportError::Planes(status.message().to_owned())
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

type Said = mpsc::Receiver<Result<ServerPushResponse, Status>>;

/// A session without streams, and with something large to wait for.
fn session() -> (Runtime, Arc<Link>, Said) {
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir(work.path().join("root")).unwrap();
    let root = Entry {
        name: b"".as_slice().into(),
        meta: Dir::open_root(work.path()).unwrap().stat(b"root").unwrap(),
        target: None,
        dir: Some(DirId::ROOT),
        xattrs: None,
    };
    let runtime = Runtime::new().unwrap();
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
    (runtime, link, said)
}

fn opens(link: &Link, number: u32) {
    let added = (link.streams).add(number, PlaneKind::Tcp, Arc::new(Far));
    assert!(added.is_some());
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

/// Time goes by, so much that what the test itself takes does not matter.
struct Clock {
    now: Duration,
    tuning: Tuning,
}

impl Clock {
    /// Returns how many streams are wanted after so many more bytes have arrived; those that are too many are to end.
    fn pass(&mut self, link: &Link, bytes: u64) -> usize {
        self.now += Duration::from_secs(1000);
        link.received.bytes.fetch_add(bytes, Ordering::Relaxed);
        let wanted = self.tuning.look(&seen(link), self.now);
        keep(link, PlaneKind::Tcp, wanted);
        wanted
    }
}

#[test]
fn more_streams_are_asked_for_on_a_long_path_and_those_that_do_not_help_are_to_end() {
    const MUCH: u64 = 200 << 20;
    let (_runtime, link, mut said) = session();
    for number in 0..tune::STREAMS {
        opens(&link, number);
    }
    let mut clock = Clock {
        now: Duration::ZERO,
        tuning: Tuning::default(),
    };
    assert_eq!(clock.pass(&link, 0), 2);
    assert_eq!(clock.pass(&link, MUCH), 4);
    // They come, and bring nothing.
    opens(&link, 2);
    opens(&link, 3);
    assert_eq!(clock.pass(&link, 0), 4);
    for _ in 0..2 {
        assert_eq!(told_to_end(&mut said), [0_u32; 0]);
        clock.pass(&link, MUCH);
    }
    assert_eq!(told_to_end(&mut said), [2, 3]);
    assert_eq!(link.streams.working(PlaneKind::Tcp), 2);
}

#[test]
fn data_begins_inside_grpc_where_tcp_says_nothing_and_moves_over_when_that_answers() {
    let (runtime, link, mut said) = session();
    let answers = Arc::new(Once::default());
    let answering = Arc::clone(&answers);
    let tcp = Fake::new(move |_| {
        answering.wait();
        true
    });
    let grpc = Fake::new(|_| true);
    let any = (PlanePolicy::ANY, true);
    let mut redialler = dialling(&link, (&tcp, &grpc), any, giving());
    runtime.block_on(redialler.begin(&link, explain)).unwrap();
    assert_eq!(link.streams.plane(), PlaneKind::Grpc);
    let doubts = link.streams.tried_in_the_end();
    let [doubt] = &doubts[..] else {
        panic!("not one plane is in doubt: {doubts:?}");
    };
    assert!(doubt.reason.contains("192.0.2.1:9032"), "{doubt:?}");
    runtime.spawn(redialler.run());
    let works = |plane| link.streams.working(plane) == 2;
    wait_until("not inside gRPC", || works(PlaneKind::Grpc));
    answers.happen();
    wait_until("not over TCP", || works(PlaneKind::Tcp));
    let mut to_end = Vec::new();
    wait_until("streams inside gRPC stay", || {
        to_end.extend(told_to_end(&mut said));
        lock(&grpc.dialled)
            .iter()
            .all(|number| to_end.contains(number))
    });
    assert!(
        to_end
            .iter()
            .all(|number| lock(&grpc.dialled).contains(number))
    );
    // On a machine that was so busy it may have been given up before.
    wait_until("TCP is in doubt", || {
        link.streams.tried_in_the_end() == link.streams.all_tried()
    });
    link.close_streams();
}

#[test]
fn where_one_socket_of_two_fails_its_token_is_not_used_again() {
    let (runtime, link, _said) = session();
    let (tcp, grpc) = (Fake::new(|number| number != 1), Fake::new(|_| true));
    let any = (PlanePolicy::ANY, true);
    let mut redialler = dialling(&link, (&tcp, &grpc), any, giving());
    runtime.block_on(redialler.begin(&link, explain)).unwrap();
    runtime.spawn(redialler.run());
    wait_until("the other does not come", || {
        link.streams.working(PlaneKind::Tcp) == 2
    });
    let mut all = [lock(&tcp.dialled).clone(), lock(&grpc.dialled).clone()].concat();
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    link.close_streams();
}

#[test]
fn a_source_that_is_too_old_to_replace_streams_needs_all_of_the_first() {
    let (runtime, link, _said) = session();
    let (tcp, grpc) = (Fake::new(|number| number != 1), Fake::new(|_| true));
    let old = (PlanePolicy::TCP, false);
    let mut redialler = dialling(&link, (&tcp, &grpc), old, giving());
    match runtime.block_on(redialler.begin(&link, explain)) {
        // The other was faster.
        Ok(()) => {
            runtime.spawn(redialler.run());
            wait_until("the session goes on", || link.is_over());
        }
        Err(error) => assert!(matches!(error, TransportError::Data { .. }), "{error}"),
    }
    link.close_streams();
}

#[test]
fn a_source_that_cannot_make_a_token_before_there_is_a_stream_says_why() {
    let (runtime, link, _said) = session();
    let (tcp, grpc) = (Fake::new(|_| false), Fake::new(|_| true));
    let refusing: Box<Ask> =
        Box::new(|_| Box::pin(async { Err(Status::internal("cannot make a token")) }));
    let any = (PlanePolicy::ANY, true);
    let mut redialler = dialling(&link, (&tcp, &grpc), any, refusing);
    let error = runtime
        .block_on(redialler.begin(&link, explain))
        .unwrap_err();
    assert!(error.to_string().contains("cannot make a token"), "{error}");
}

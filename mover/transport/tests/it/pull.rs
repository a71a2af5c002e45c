//! Pulls from a daemon: sessions, peers that go away, and peers that lie.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_engine::entry::Entry;
use blit_engine::fs::Dir;
use blit_engine::run::{
    Cancel, Fatal, Job, MaxDelete, Operation, Options, Purged, RunIdentity, SourceError, Summary,
    run,
};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::control::access::Access;
use blit_proto::control::connect_as;
use blit_proto::v2::server_push_response::Message as Answer;
use blit_proto::v2::{
    DataBytes, DataStreams, DataToken, DataTransferNegotiation, DirDone, PingRequest, PullChunk,
    PullHeader, PullRequest, ServerPushResponse, StreamState, StreamsRequest, pull_chunk,
    pull_request,
};
use blit_transport::Kind;
use blit_transport::daemon::{Given, Handler, Pushed, Refusal};
use blit_transport::destination::{PullConfig, RunResult, Session, pull};
use blit_transport::path::RelPath;
use blit_transport::planes::PlanePolicy;
use blit_transport::reach::Target;
use blit_transport::source::Stop;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::fake::block_on;
use crate::served::Served;
use crate::sessions::{assert_same, tree};

/// Gives the tree below a directory.
struct Tree(PathBuf);

impl Handler for Tree {
    fn list(
        &self,
        _: &RelPath,
        _: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal> {
        Ok(None)
    }

    fn give(&self, path: &RelPath, one_file_system: bool) -> Result<Given, Refusal> {
        let options = ScanOptions {
            xattrs: true,
            one_file_system,
            ..ScanOptions::default()
        };
        let source = LocalSource::open(&self.0.join(path.to_path()), options)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        Ok(Given {
            source,
            single_file: false,
            display: path.to_string(),
            block_queue: false,
        })
    }

    /// Breaks it off: this one only gives.
    fn push(&self, pushed: Pushed) {
        drop(pushed);
    }

    fn purge(&self, _: &[RelPath], _: bool) -> Result<Purged, Refusal> {
        Err(Refusal::Failed("this one only gives".to_owned()))
    }
}

/// A daemon that gives the tree below a directory.
pub(crate) fn giving(root: &Path) -> Served {
    Served::new(Tree(root.to_owned()), Duration::from_secs(600))
}

fn config(served: &Served) -> PullConfig {
    PullConfig {
        target: Target {
            address: served.address().to_string(),
            access: served.access(),
        },
        path: Vec::new(),
        verify: false,
        one_file_system: false,
        planes: PlanePolicy::ANY,
        patience: Duration::from_secs(5),
        stop: Stop::new(),
    }
}

/// Runs a mirror of what a session brings into `to`; only the session stands between a lie and deletions.
fn into(session: &Session, to: &Path) -> Summary {
    let dir = Dir::open_root(to).unwrap();
    assert_eq!(session.overlap(dir.as_fd()).unwrap(), None);
    let job = Job {
        destination: dir,
        listing: session.listing(),
        content: session.content(),
        options: Options {
            operation: Operation::Mirror,
            max_delete: Some(MaxDelete::Percent(100)),
            allow_empty_source: true,
            ..Options::default()
        },
        identity: RunIdentity::default(),
    };
    run(job, Arc::new(()), Cancel::new())
}

fn mirror(served: &Served, to: &Path) -> Summary {
    let session = pull(&config(served)).unwrap();
    let summary = into(&session, to);
    session.finish(RunResult::default());
    assert!(summary.is_complete(), "{summary:?}");
    summary
}

#[test]
fn a_tree_is_pulled_as_it_is_followed_and_left_alone() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    let served = giving(from.path());
    mirror(&served, to.path());
    assert_same(from.path(), to.path());
    let again = mirror(&served, to.path());
    assert_eq!(again.progress.files_copied, 0);
    std::fs::write(to.path().join("a/b/extra"), b"x").unwrap();
    std::fs::remove_file(from.path().join("a/b/17")).unwrap();
    let followed = mirror(&served, to.path());
    assert_eq!(followed.progress.files_deleted, 2);
    assert_same(from.path(), to.path());
}

#[test]
fn many_pull_at_the_same_time_from_one_port() {
    let from = tempfile::tempdir().unwrap();
    tree(from.path());
    let served = giving(from.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let to = tempfile::tempdir().unwrap();
                mirror(&served, to.path());
                assert_same(from.path(), to.path());
            });
        }
    });
}

#[test]
fn a_destination_that_gives_up_frees_the_daemon_at_once() {
    let from = tempfile::tempdir().unwrap();
    tree(from.path());
    let served = giving(from.path());
    for _ in 0..3 {
        drop(pull(&config(&served)).unwrap());
    }
    // Sessions are counted for who asks.
    let deadline = Instant::now() + Duration::from_secs(10);
    while sessions(&served) > 0 {
        assert!(Instant::now() < deadline, "a session stays");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sessions(served: &Served) -> u32 {
    block_on(async {
        let address = served.address().to_string();
        let connection = connect_as(&address, &served.access()).await.unwrap();
        let pong = connection.client().ping(PingRequest::default()).await;
        pong.unwrap().into_inner().daemon.unwrap().sessions
    })
}

#[test]
fn a_daemon_that_goes_away_ends_the_run_of_its_client() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    std::fs::write(to.path().join("precious"), b"x").unwrap();
    let served = giving(from.path());
    let session = pull(&config(&served)).unwrap();
    let start = Instant::now();
    drop(served);
    let summary = into(&session, to.path());
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(
        matches!(&summary.fatal, Some(Fatal::Source(SourceError::Lost(_)))),
        "{summary:?}"
    );
    assert!(to.path().join("precious").exists());
    assert!(session.lost().is_some());
}

#[test]
fn a_daemon_that_is_asked_to_end_tells_who_pulls() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree(from.path());
    let served = giving(from.path());
    let session = pull(&config(&served)).unwrap();
    served.daemon.end_pulls("the daemon was asked to end");
    let summary = into(&session, to.path());
    let Some(Fatal::Source(SourceError::Lost(reason))) = &summary.fatal else {
        panic!("{summary:?}")
    };
    assert!(reason.contains("the daemon was asked to end"), "{reason}");
    // One that comes later is told as well.
    let session = pull(&config(&served)).unwrap();
    let summary = into(&session, to.path());
    assert!(
        matches!(&summary.fatal, Some(Fatal::Source(SourceError::Lost(_)))),
        "{summary:?}"
    );
}

#[test]
fn a_source_that_cannot_be_opened_and_a_daemon_that_is_not_there_are_told_apart() {
    let from = tempfile::tempdir().unwrap();
    let served = giving(from.path());
    let mut config = config(&served);
    config.path = b"nowhere".to_vec();
    let error = pull(&config).err().unwrap();
    assert!(error.to_string().contains("nowhere"), "{error}");
    drop(served);
    config.patience = Duration::from_millis(300);
    assert_eq!(pull(&config).err().unwrap().kind(), Kind::Unreachable);
}

/// A destination that sends what it is told.
pub(crate) struct FakeDestination {
    outbound: mpsc::Sender<PullRequest>,
    chunks: Streaming<PullChunk>,
    negotiation: DataTransferNegotiation,
    address: String,
    access: Access,
}

impl FakeDestination {
    pub(crate) async fn open(
        served: &Served,
        first: pull_request::Message,
    ) -> Result<Self, Status> {
        let address = served.address().to_string();
        let access = served.access();
        let connection = connect_as(&address, &access).await.unwrap();
        let (outbound, requests) = mpsc::channel(16);
        let message = Some(first);
        outbound.send(PullRequest { message }).await.unwrap();
        let mut client = connection.client();
        let mut chunks = client
            .pull(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let first = chunks.message().await?.unwrap().message.unwrap();
        let pull_chunk::Message::Negotiation(negotiation) = first else {
            panic!("{first:?} is no negotiation")
        };
        Ok(Self {
            outbound,
            chunks,
            negotiation,
            address,
            access,
        })
    }

    /// Waits for the end of the listing.
    async fn listed(&mut self) {
        use blit_proto::v2::client_push_request::Message as Said;
        while let Some(chunk) = self.chunks.message().await.unwrap() {
            if let Some(pull_chunk::Message::Said(said)) = chunk.message
                && let Some(Said::ManifestComplete(_)) = said.message
            {
                return;
            }
        }
        panic!("the listing has no end");
    }

    async fn say(&self, answer: Answer) {
        let said = ServerPushResponse {
            message: Some(answer),
        };
        let message = Some(pull_request::Message::Said(said));
        self.outbound.send(PullRequest { message }).await.unwrap();
    }

    /// Reads to the end; returns the reason that the source gives.
    pub(crate) async fn reason(&mut self) -> String {
        use blit_proto::v2::client_push_request::Message as Said;
        let mut reason = String::new();
        while let Ok(Some(chunk)) = self.chunks.message().await {
            if let Some(pull_chunk::Message::Said(said)) = chunk.message
                && let Some(Said::Failed(failed)) = said.message
            {
                reason = failed.message;
            }
        }
        reason
    }
}

/// Asks for files, packed as on the wire.
fn wanted(wants: Vec<u8>) -> Answer {
    Answer::Negotiation(DataTransferNegotiation {
        files_to_upload: wants.into(),
        ..DataTransferNegotiation::default()
    })
}

pub(crate) fn header() -> pull_request::Message {
    pull_request::Message::Header(PullHeader {
        hello: Some(blit_proto::version::hello()),
        ..PullHeader::default()
    })
}

#[test]
fn a_destination_that_breaks_the_protocol_is_told_so_and_gets_nothing() {
    let from = tempfile::tempdir().unwrap();
    std::fs::write(from.path().join("f"), b"secret").unwrap();
    let served = giving(from.path());
    let tokens = Answer::Negotiation(DataTransferNegotiation {
        one_time_tokens: vec![DataToken::default()],
        ..DataTransferNegotiation::default()
    });
    let unlisted = Answer::DirDone(DirDone {
        dir: 4,
        ..DirDone::default()
    });
    // Id, directory, part and position as single bytes.
    for lie in [
        wanted(vec![1, 9, 0, 0]),
        wanted(vec![1, 0, 0, 200]),
        wanted(vec![0xff; 11]),
        tokens,
        unlisted,
    ] {
        let reason = block_on(async {
            let mut fake = FakeDestination::open(&served, header()).await.unwrap();
            fake.say(lie.clone()).await;
            fake.reason().await
        });
        assert!(reason.contains("broke the protocol"), "{lie:?}: {reason}");
    }
}

#[test]
fn a_pull_begins_with_a_header_of_a_version_that_both_have() {
    let from = tempfile::tempdir().unwrap();
    let served = giving(from.path());
    let said = pull_request::Message::Said(ServerPushResponse::default());
    let status = block_on(FakeDestination::open(&served, said))
        .err()
        .unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let old = pull_request::Message::Header(PullHeader::default());
    let status = block_on(FakeDestination::open(&served, old)).err().unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
}

/// Bytes of the answer to a first frame.
const ANSWER: usize = 40;

/// Makes the first frame of a token.
fn first_frame(token: &DataToken, direction: &str) -> Vec<u8> {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    let claims = token.token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(claims)
        .unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["direction"], "pull");
    let jti = claims["jti"].as_str().unwrap();
    let nonce = [7; 32];
    let message = [
        &b"blit data dialler\0"[..],
        &(jti.len() as u64).to_be_bytes(),
        jti.as_bytes(),
        &token.stream.to_be_bytes(),
        direction.as_bytes(),
        &nonce,
    ];
    let key = hmac::Key::new(hmac::HMAC_SHA256, &token.key);
    let mac = hmac::sign(&key, &message.concat());
    let mut frame = [
        &b"BLITDP2\0"[..],
        &(token.token.len() as u16).to_be_bytes(),
        token.token.as_bytes(),
        &nonce,
        mac.as_ref(),
    ]
    .concat();
    frame.resize(1024, 0);
    frame
}

/// Sends a first frame made from a token; returns what comes back.
fn frame(address: SocketAddr, token: &DataToken, direction: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    let first = first_frame(token, direction);
    socket.write_all(&first).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut answer = [0; 40];
    match socket.read_exact(&mut answer) {
        Ok(()) => {
            // Kept open: the session would end with it.
            std::mem::forget(socket);
            answer.to_vec()
        }
        Err(_) => Vec::new(),
    }
}

#[test]
fn a_token_of_a_pull_opens_one_socket_in_its_direction_of_its_stream() {
    let from = tempfile::tempdir().unwrap();
    let served = giving(from.path());
    let data = served.daemon.addresses().data;
    block_on(async {
        let fake = FakeDestination::open(&served, header()).await.unwrap();
        let tokens = fake.negotiation.one_time_tokens.clone();
        tokio::task::spawn_blocking(move || {
            let [first, second] = tokens.as_slice() else {
                panic!("{} tokens", tokens.len())
            };
            assert_eq!(frame(data, first, "push"), b"", "another direction");
            let swapped = DataToken {
                stream: second.stream,
                ..first.clone()
            };
            assert_eq!(frame(data, &swapped, "pull"), b"", "another stream");
            let stolen = DataToken {
                key: vec![1; 32],
                ..first.clone()
            };
            assert_eq!(frame(data, &stolen, "pull"), b"", "no key");
            assert_ne!(frame(data, first, "pull"), b"", "the right one");
            assert_eq!(frame(data, first, "pull"), b"", "a replay");
        })
        .await
        .unwrap();
        drop(fake);
    });
}

/// Opens a data socket with a token.
fn opened(address: SocketAddr, token: &DataToken) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&first_frame(token, "pull")).unwrap();
    let limit = Some(Duration::from_secs(20));
    socket.set_read_timeout(limit).unwrap();
    socket.read_exact(&mut [0; ANSWER]).unwrap();
    socket
}

#[test]
fn a_stream_that_is_to_be_left_ends_in_good_order_and_content_goes_over_the_other() {
    let from = tempfile::tempdir().unwrap();
    std::fs::write(from.path().join("f"), b"content").unwrap();
    let served = giving(from.path());
    let data = served.daemon.addresses().data;
    block_on(async {
        let mut fake = FakeDestination::open(&served, header()).await.unwrap();
        let tokens = fake.negotiation.one_time_tokens.clone();
        fake.listed().await;
        let open = move || tokens.iter().map(|token| opened(data, token)).collect();
        let sockets: Vec<_> = tokio::task::spawn_blocking(open).await.unwrap();
        let [mut kept, mut left] = <[_; 2]>::try_from(sockets).unwrap();
        let leave = StreamState {
            stream: fake.negotiation.one_time_tokens[1].stream,
            leave: true,
            ..StreamState::default()
        };
        let states = vec![leave];
        let read = move || left.read(&mut [0; 1]).map_err(|e| e.kind());
        let mut end = tokio::task::spawn_blocking(read);
        // Said again and again, as a destination does: the session may hear it before it hears of the stream.
        let end = loop {
            let states = states.clone();
            fake.say(Answer::Streams(DataStreams { states })).await;
            if let Ok(end) = timeout(Duration::from_millis(100), &mut end).await {
                break end;
            }
        };
        assert_eq!(end.unwrap(), Ok(0), "the end, behind all that was sent");
        // Id, directory, part and position as single bytes.
        fake.say(wanted(vec![1, 0, 0, 0])).await;
        let arrives = tokio::task::spawn_blocking(move || {
            let mut frame = Vec::new();
            while !frame.ends_with(b"content") {
                let mut byte = [0];
                kept.read_exact(&mut byte).unwrap();
                frame.extend(byte);
            }
        });
        arrives.await.unwrap();
    });
}

/// Opens a call for data with a first frame made from a token; returns how many bytes come, content among them, before it
/// ends or as soon as content has come.
async fn inside_grpc(fake: &FakeDestination, token: &DataToken, direction: &str) -> usize {
    let connection = connect_as(&fake.address, &fake.access).await.unwrap();
    let (messages, outgoing) = mpsc::channel(1);
    let bytes = first_frame(token, direction).into();
    messages.send(DataBytes { bytes }).await.unwrap();
    let call = async {
        let mut client = connection.client();
        let Ok(answers) = client.data(ReceiverStream::new(outgoing)).await else {
            return 0;
        };
        let (mut answers, mut bytes) = (answers.into_inner(), 0);
        while let Ok(Some(answer)) = answers.message().await {
            bytes += answer.bytes.len();
            if bytes > ANSWER {
                break;
            }
        }
        bytes
    };
    let told = timeout(Duration::from_secs(20), call).await;
    // Otherwise it was this side that ended the call.
    drop(messages);
    told.expect("a call that is refused ends")
}

#[test]
fn a_token_of_a_pull_opens_one_call_in_its_direction_of_its_stream() {
    let from = tempfile::tempdir().unwrap();
    std::fs::write(from.path().join("f"), b"content").unwrap();
    let served = giving(from.path());
    block_on(async {
        let mut fake = FakeDestination::open(&served, header()).await.unwrap();
        let tokens = fake.negotiation.one_time_tokens.clone();
        let [first, second] = tokens.as_slice() else {
            panic!("{} tokens", tokens.len())
        };
        fake.listed().await;
        // Id, directory, part and position as single bytes: whoever gets in gets the content.
        fake.say(wanted(vec![1, 0, 0, 0])).await;
        assert_eq!(inside_grpc(&fake, first, "push").await, 0, "another way");
        let swapped = DataToken {
            stream: second.stream,
            ..first.clone()
        };
        assert_eq!(inside_grpc(&fake, &swapped, "pull").await, 0, "a stream");
        let stolen = DataToken {
            key: vec![1; 32],
            ..first.clone()
        };
        assert_eq!(inside_grpc(&fake, &stolen, "pull").await, 0, "no key");
        let right = inside_grpc(&fake, first, "pull").await;
        assert!(right > ANSWER, "{right} bytes for the right one");
        assert_eq!(inside_grpc(&fake, first, "pull").await, 0, "a replay");
    });
}

#[test]
fn a_token_is_worth_nothing_when_its_session_is_over() {
    let from = tempfile::tempdir().unwrap();
    let served = giving(from.path());
    let data = served.daemon.addresses().data;
    block_on(async {
        let mut fake = FakeDestination::open(&served, header()).await.unwrap();
        let token = fake.negotiation.one_time_tokens[0].clone();
        fake.say(Answer::DirDone(DirDone {
            dir: 4,
            ..DirDone::default()
        }))
        .await;
        fake.reason().await;
        let answered = tokio::task::spawn_blocking(move || frame(data, &token, "pull"));
        assert_eq!(answered.await.unwrap(), b"");
    });
}

#[test]
fn a_destination_learns_what_its_source_does() {
    use blit_engine::run::Elsewhere;
    let from = tempfile::tempdir().unwrap();
    std::fs::write(from.path().join("f"), b"x").unwrap();
    let served = giving(from.path());
    let session = pull(&config(&served)).unwrap();
    let listing = session.listing();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match listing.elsewhere() {
            Elsewhere::Idle(waits) => {
                assert_eq!(waits, "files to be asked for");
                return;
            }
            state => assert!(Instant::now() < deadline, "{state:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn only_who_opened_a_session_is_told_what_its_source_does_and_gets_more_tokens() {
    let from = tempfile::tempdir().unwrap();
    let served = giving(from.path());
    block_on(async {
        let address = served.address().to_string();
        let connect = async |access: Access| connect_as(&address, &access).await.unwrap();
        let (mine, other) = (served.access(), served.access());
        let (mine, other) = (connect(mine).await, connect(other).await);
        let (outbound, requests) = mpsc::channel(16);
        let message = Some(header());
        outbound.send(PullRequest { message }).await.unwrap();
        let chunks = mine.client().pull(ReceiverStream::new(requests)).await;
        let mut chunks = chunks.unwrap().into_inner();
        let first = chunks.message().await.unwrap().unwrap().message;
        let Some(pull_chunk::Message::Negotiation(negotiation)) = first else {
            panic!("{first:?} is no negotiation")
        };
        let ask = || PingRequest {
            session: negotiation.session.clone(),
            ..PingRequest::default()
        };
        // The source says it twice a second.
        while mine
            .client()
            .ping(ask())
            .await
            .unwrap()
            .into_inner()
            .source
            .is_none()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let told = other.client().ping(ask()).await.unwrap().into_inner();
        assert_eq!(told.source, None);
        // Nor is anybody else given tokens for its streams, and nobody any number.
        let more = |tokens| StreamsRequest {
            session: negotiation.session.clone(),
            tokens,
            ..StreamsRequest::default()
        };
        let refused = other.client().streams(more(1)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{refused}");
        let refused = mine.client().streams(more(65)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let given = mine.client().streams(more(2)).await.unwrap().into_inner();
        let given = given.one_time_tokens.iter();
        let numbers: Vec<_> = given.map(|token| token.stream).collect();
        let first = negotiation.one_time_tokens.len() as u32;
        assert_eq!(numbers, [first, first + 1]);
    });
}

//! A pull between a small host of our own and the destination of this crate, over loopback.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use blit_engine::fs::Dir;
use blit_engine::run::{Cancel, Job, Operation, Options, RunIdentity, Summary, run};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::control::access::Access;
use blit_proto::pki::{Authority, PeerName, PeerPattern, Role};
use blit_proto::v2::{
    ClientPushRequest, ProgressUpdate, PullHeader, PullRequest, SourceState, pull_request,
};
use blit_proto::version;
use proptest::prelude::*;
use prost::Message;
use tokio::sync::{oneshot, watch};
use tonic::{Status, Streaming};

use super::{AT_ONCE, Door, MoreTokens, Pull, STREAMS, negotiate};
use crate::auth::Direction;
use crate::auth::token::TokenBook;
use crate::control::{Chunks, ControlServer, Host, Peer, Responses};
use crate::data::tcp::{DataListener, Desks};
use crate::destination::{self, PullConfig, RunResult};
use crate::planes::PlanePolicy;
use crate::reach::Target;
use crate::source::pulse::State;
use crate::source::serving::Offer;
use crate::source::{PushOutcome, Stop};
use crate::wire::any_message::{change, changed};
use crate::wire::codes::Codes;
use crate::{TransportError, sync::lock};

const JOB: &str = "6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e";

type Ended = Result<PushOutcome, TransportError>;

struct OnePull {
    offer: Offer,
    desks: Desks,
    port: u16,
    ended: Mutex<Option<oneshot::Sender<Ended>>>,
    state: Mutex<Option<(String, State)>>,
}

impl Host for OnePull {
    async fn push(&self, _: Peer, _: Streaming<ClientPushRequest>) -> Result<Responses, Status> {
        Err(Status::unimplemented("a source"))
    }

    async fn pull(
        &self,
        peer: Peer,
        mut requests: Streaming<PullRequest>,
    ) -> Result<Chunks, Status> {
        let Some(PullRequest {
            message: Some(pull_request::Message::Header(header)),
        }) = requests.message().await?
        else {
            return Err(Status::invalid_argument("no header"));
        };
        let door = Door {
            desks: &self.desks,
            port: self.port,
            shown: &peer.certificate,
        };
        let (pull, chunks) = Pull::open(self.offer.clone(), &header, requests, &door)?;
        *lock(&self.state) = Some((pull.session().to_owned(), pull.state()));
        let ended = lock(&self.ended).take().unwrap();
        tokio::spawn(async move { ended.send(pull.run().await) });
        Ok(chunks)
    }

    fn progress(&self) -> watch::Receiver<ProgressUpdate> {
        watch::channel(ProgressUpdate::default()).1
    }

    fn cancel(&self, _: &str) {}

    fn state_of_source(&self, _: &Peer, session: &str) -> Option<SourceState> {
        let state = lock(&self.state);
        let (_, state) = state.as_ref().filter(|(name, _)| name == session)?;
        lock(state).clone()
    }
}

struct Source {
    server: ControlServer,
    _data: DataListener,
    ended: oneshot::Receiver<Ended>,
    stop: Stop,
    config: PullConfig,
}

fn source(root: &Path) -> Source {
    let authority = Authority::new(JOB, SystemTime::now()).unwrap();
    let name = |role| PeerName::mover(JOB, 1, role).unwrap();
    let identity = |role| authority.issue(&name(role)).unwrap();
    let data = DataListener::start(TcpListener::bind("127.0.0.1:0").unwrap(), None).unwrap();
    let options = ScanOptions {
        xattrs: true,
        ..ScanOptions::default()
    };
    let stop = Stop::new();
    let (ended, outcome) = oneshot::channel();
    let host = OnePull {
        offer: Offer {
            source: LocalSource::open(root, options).unwrap(),
            display: root.display().to_string(),
            single_file: false,
            peer: "the destination".to_owned(),
            progress_deadline: Some(Duration::from_secs(60)),
            scan_threads: None,
            on_slow: Arc::new(|_, _, _| ()),
            block_queue: false,
            stop: stop.clone(),
        },
        desks: data.desks(),
        port: data.address().port(),
        ended: Mutex::new(Some(ended)),
        state: Mutex::default(),
    };
    let accepted = vec![PeerPattern::Exactly(name(Role::Source))];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server =
        ControlServer::start(listener, &identity(Role::Destination), accepted, host).unwrap();
    let config = PullConfig {
        target: Target {
            address: server.address().to_string(),
            access: Access::Mover(
                identity(Role::Source),
                PeerPattern::Exactly(name(Role::Destination)),
            ),
        },
        path: Vec::new(),
        verify: false,
        one_file_system: false,
        planes: PlanePolicy::TCP,
        patience: Duration::from_secs(5),
        stop: Stop::new(),
    };
    Source {
        server,
        _data: data,
        ended: outcome,
        stop,
        config,
    }
}

fn mirror(from: &Path, to: &Path) -> (Summary, PushOutcome) {
    let source = source(from);
    let session = destination::pull(&source.config).unwrap();
    let job = Job {
        destination: Dir::open_root(to).unwrap(),
        listing: session.listing(),
        content: session.content(),
        options: Options {
            operation: Operation::Mirror,
            checksum: true,
            ..Options::default()
        },
        identity: RunIdentity::default(),
    };
    let summary = run(job, Arc::new(()), Cancel::new());
    assert!(summary.is_complete(), "{summary:?}");
    session.finish(RunResult::default());
    drop(source.server);
    (summary, source.ended.blocking_recv().unwrap().unwrap())
}

#[test]
fn a_tree_is_pulled_and_deletions_follow() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(from.path().join("d")).unwrap();
    for number in 0..300 {
        fs::write(
            from.path().join(format!("d/{number}")),
            vec![7; number * 31],
        )
        .unwrap();
    }
    fs::write(from.path().join("large"), vec![9; 20 << 20]).unwrap();
    let (summary, outcome) = mirror(from.path(), to.path());
    assert_eq!(summary.progress.files_copied, 301);
    assert_eq!(outcome.bytes_zero_copy, 20 << 20);
    fs::write(to.path().join("d/extra"), b"x").unwrap();
    fs::write(to.path().join("d/3"), vec![8; 3 * 31]).unwrap();
    let (summary, _) = mirror(from.path(), to.path());
    assert_eq!(summary.progress.files_deleted, 1);
    assert_eq!(summary.progress.files_copied, 1);
    assert_eq!(fs::read(to.path().join("d/3")).unwrap(), vec![7; 3 * 31]);
}

#[test]
fn each_side_tells_the_other_why_it_gives_up() {
    let root = tempfile::tempdir().unwrap();
    let source = source(root.path());
    let session = destination::pull(&source.config).unwrap();
    drop(session);
    let error = source.ended.blocking_recv().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("the destination gave up"),
        "{error}"
    );

    let source = self::source(root.path());
    let session = destination::pull(&source.config).unwrap();
    source.stop.stop("SIGTERM");
    let listing = session.listing();
    let error = loop {
        if let Err(error) = listing.next(Duration::from_secs(10)) {
            break error;
        }
    };
    assert!(error.to_string().contains("SIGTERM"), "{error}");
}

proptest! {
    #[test]
    fn an_altered_header_of_a_pull_is_negotiated_or_refused(
        changes in proptest::collection::vec(change(), 0..5),
    ) {
        let header = PullHeader {
            hello: Some(version::hello()),
            path: b"a/b".to_vec(),
            one_file_system: true,
            verify_key: vec![7; 32],
        };
        let Ok(header) = PullHeader::decode(&*changed(header.encode_to_vec(), &changes)) else {
            return Ok(());
        };
        if let Ok(negotiation) = negotiate(&header) {
            let hello = header.hello.clone().unwrap_or_default();
            prop_assert!((hello.min..=hello.max).contains(&negotiation.version));
        }
        // A key of another length is not made to fit.
        prop_assert_eq!(Codes::new(&header.verify_key).is_some(), header.verify_key.len() == 32);
    }

    #[test]
    fn however_tokens_are_asked_for_no_number_is_given_twice_and_there_is_an_end(
        asked in proptest::collection::vec(prop_oneof![0..=AT_ONCE, any::<u32>()], 1..30),
    ) {
        let more = MoreTokens {
            book: Arc::new(TokenBook::new("session", Direction::Pull, b"certificate").unwrap()),
            next: Arc::default(),
        };
        let mut given = 0;
        for count in asked {
            match more.mint(count) {
                Ok(tokens) => {
                    let numbers = tokens.iter().map(|token| token.stream);
                    prop_assert!(count <= AT_ONCE && numbers.eq(given..given + count));
                    given += count;
                }
                // Or so many are good at one time that there are no more.
                Err(_) if count <= AT_ONCE => given = more.next.load(std::sync::atomic::Ordering::Relaxed),
                Err(_) => {}
            }
            prop_assert!(given <= STREAMS);
        }
    }
}

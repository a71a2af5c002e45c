//! A pull from the side of the destination: it dials, opens the data streams, and then is a destination like any
//! other.

use std::sync::{Arc, Weak};
use std::time::Duration;

use blit_proto::control::{Connection, ControlError, reason_of};
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::{
    ClientPushRequest, DataTransferNegotiation, PingRequest, PullChunk, PullHeader, PullRequest,
    PushHeader, pull_chunk, pull_request,
};
use blit_proto::version;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::ProgressPublisher;
use super::host::OUTBOUND;
use super::link::Link;
use super::reading::read;
use super::redial::Redialler;
use super::session::{GRACE, PeerInfo, Session};
use crate::data::grpc::GrpcPlane;
use crate::data::proof::Proof;
use crate::dialler::{self, Planes};
use crate::error::TransportError;
use crate::planes::PlanePolicy;
use crate::reach::{self, ANSWER_TIMEOUT, Target, reach};
use crate::stop::Stop;
use crate::wire::{Violation, entry, mirror};

/// Threads for the control plane; it moves listings, not data.
const RUNTIME_THREADS: usize = 2;

/// How often the source is asked what it does.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How to pull.
#[derive(Clone)]
pub struct PullConfig {
    /// The side that listens.
    pub target: Target,
    /// Path of the source there.
    pub path: Vec<u8>,
    /// Directories of other file systems below the source are taken without their content.
    pub one_file_system: bool,
    /// The source is to prove that what arrives is what it sent. One that cannot is an error.
    pub verify: bool,
    /// Which data planes may be used.
    pub planes: PlanePolicy,
    /// How long it is tried to reach the source.
    pub patience: Duration,
    /// Ends the attempt to open the session. A run that has a session is ended by its own switch.
    pub stop: Stop,
}

/// Dials a source and opens a session with it. Blocks.
pub fn pull(config: &PullConfig) -> Result<Session, TransportError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("blit-control")
        .enable_all()
        .build()?;
    let opening = async {
        tokio::select! {
            session = open(config) => session,
            reason = config.stop.stopped() => Err(TransportError::Interrupted(reason)),
        }
    };
    match runtime.block_on(opening) {
        Ok(session) => Ok(session.on(runtime)),
        Err(error) => {
            // Not as long as a thread may take that dials a port which swallows everything.
            runtime.shutdown_timeout(GRACE);
            Err(error)
        }
    }
}

async fn open(config: &PullConfig) -> Result<Session, TransportError> {
    let connection = reach(&config.target, config.patience).await?;
    let (outbound, responses) = mpsc::channel(OUTBOUND);
    let proof = config.verify.then(Proof::begin).transpose();
    let (proof, verify_key) = proof.map_err(std::io::Error::other)?.unzip();
    let header = pull_request::Message::Header(PullHeader {
        verify_key: verify_key.unwrap_or_default(),
        hello: Some(version::hello()),
        path: config.path.clone(),
        one_file_system: config.one_file_system,
    });
    let header = PullRequest {
        message: Some(header),
    };
    let requests =
        tokio_stream::once(header).chain(ReceiverStream::new(responses).map(mirror::to_source));
    let mut chunks = call(&connection, config, requests).await?;
    let (negotiation, header) = match timeout(ANSWER_TIMEOUT, answer(&mut chunks)).await {
        Ok(answer) => answer.map_err(|error| match error {
            Unanswered::Status(status) => broken(&connection, config, &status),
            Unanswered::Because(error) => error,
        })?,
        Err(_) => return Err(lost(config, "no answer to the header")),
    };
    let tls = config.planes.encrypt;
    let tls = tls.then(|| config.target.access.tls()).transpose()?;
    let (address, tcp) = reach::plane(&negotiation, connection.remote(), Duration::ZERO, tls)?;
    let root = header.root.clone();
    let root = root.ok_or_else(|| Violation::new("a pull has no root"))?;
    let root = entry::root_from_header(root)?;
    let theirs = negotiation.hello.unwrap_or_default();
    let ours = version::hello();
    let can = |feature| version::both_have(feature, &ours, &theirs);
    if config.verify && !can(version::VERIFY) {
        let reason = "the source cannot prove what it sends, which --verify asks for; install the same release of \
                      blit on both sides";
        let reason = reason.to_owned();
        return Err(ControlError::Incompatible { reason }.into());
    }
    let link = Link::new(
        root,
        can(version::BLAKE3),
        can(version::PARTS),
        proof,
        outbound.clone(),
        Handle::current(),
    );
    let target = Target {
        // The very host that control reached, whatever its name leads to now.
        address: connection.remote().to_string(),
        ..config.target.clone()
    };
    let planes = Planes {
        address,
        tcp,
        grpc: GrpcPlane::shared(target, Handle::current()),
    };
    let recovers = can(version::STREAMS);
    let policy = match recovers {
        true => Some(config.planes),
        false => config.planes.without_grpc(),
    };
    let too_old = || "the source is too old for data inside gRPC".to_owned();
    let policy = policy.ok_or_else(|| TransportError::Planes(too_old()))?;
    if recovers {
        link.recover();
    }
    link.streams.begin_with(policy.first());
    let asking = dialler::asking(connection.client(), negotiation.session.clone());
    let tokens = negotiation.one_time_tokens;
    let mut redialler = Redialler::new(&link, planes, (policy, recovers), asking, tokens);
    let explain = |status: &Status| broken(&connection, config, status);
    redialler.begin(&link, explain).await?;
    tokio::spawn(redialler.run());
    let (closed, source_closed) = oneshot::channel();
    let peer = config.target.address.clone();
    let said = chunks.map(move |chunk| {
        chunk
            .map_err(|status| broke_off(&peer, &status))
            .and_then(mirror::from_source)
    });
    tokio::spawn(read(Arc::clone(&link), said, closed));
    let session = negotiation.session;
    tokio::spawn(ask(Arc::downgrade(&link), connection, session));
    let progress = ProgressPublisher::new();
    progress.attach(Some(outbound));
    let peer = PeerInfo::new(config.target.address.clone(), header);
    Ok(Session::new(link, peer, progress, None, source_closed))
}

async fn call(
    connection: &Connection,
    config: &PullConfig,
    requests: impl tokio_stream::Stream<Item = PullRequest> + Send + 'static,
) -> Result<Streaming<PullChunk>, TransportError> {
    let mut client = connection.client();
    match timeout(ANSWER_TIMEOUT, client.pull(requests)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(connection.explain(&status).into()),
        Err(_) => Err(lost(config, "no answer to the header")),
    }
}

/// Why a source does not answer the header as it should.
enum Unanswered {
    Status(Status),
    Because(TransportError),
}

impl From<Violation> for Unanswered {
    fn from(violation: Violation) -> Self {
        Self::Because(violation.into())
    }
}

impl From<Status> for Unanswered {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// Waits for the first two messages of the source.
async fn answer(
    chunks: &mut Streaming<PullChunk>,
) -> Result<(DataTransferNegotiation, PushHeader), Unanswered> {
    let Some(PullChunk {
        message: Some(pull_chunk::Message::Negotiation(negotiation)),
    }) = chunks.message().await?
    else {
        return Err(Violation::new("the source does not negotiate first").into());
    };
    match chunks.message().await? {
        Some(PullChunk {
            message:
                Some(pull_chunk::Message::Said(ClientPushRequest {
                    message: Some(Request::Header(header)),
                })),
        }) => Ok((negotiation, header)),
        Some(PullChunk {
            message:
                Some(pull_chunk::Message::Said(ClientPushRequest {
                    message: Some(Request::Failed(failed)),
                })),
        }) => {
            let message = failed.message.chars().filter(|c| !c.is_control());
            let message = message.take(4096).collect();
            Err(Unanswered::Because(TransportError::Source(message)))
        }
        _ => Err(Violation::new("a pull has no root").into()),
    }
}

/// Asks the source what it does for as long as there is a session.
async fn ask(link: Weak<Link>, connection: Connection, session: String) {
    let mut client = connection.client();
    loop {
        let request = PingRequest {
            hello: Some(version::hello()),
            session: session.clone(),
            ..PingRequest::default()
        };
        // A connection that is gone is found by whoever uses it for more than this.
        let answer = client.ping(request).await;
        let Some(link) = link.upgrade() else { return };
        if let Ok(answer) = answer
            && let Some(state) = answer.into_inner().source
        {
            link.source_state(state);
        }
        link.confirm_now();
        drop(link);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn broken(connection: &Connection, config: &PullConfig, status: &Status) -> TransportError {
    match connection.explain(status) {
        ControlError::Unreachable { reason, .. } => lost(config, &reason),
        error => error.into(),
    }
}

/// Says of a call that ended what a push says of its own.
fn broke_off(peer: &str, status: &Status) -> Status {
    let error = TransportError::Lost {
        peer: peer.to_owned(),
        reason: reason_of(status),
    };
    Status::new(status.code(), error.to_string())
}

fn lost(config: &PullConfig, reason: &str) -> TransportError {
    TransportError::Lost {
        peer: config.target.address.clone(),
        reason: reason.to_owned(),
    }
}

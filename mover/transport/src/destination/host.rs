//! Opens the session of a source that dials: checks who comes, agrees on a version, and hands out tokens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use blit_engine::run::SourceError;
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{
    ClientPushRequest, DataBytes, DataToken, DataTransferNegotiation, ProgressUpdate, PushHeader,
    ServerPushResponse, SourceState, StreamsRequest, StreamsResponse,
};
use blit_proto::version;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::link::Link;
use super::reading::{read, receive};
use super::session::{PeerInfo, Session};
use super::{News, ProgressPublisher, ServeConfig};
use crate::auth::Direction;
use crate::auth::token::{MintError, TokenBook, random_id};
use crate::control::{Host, Peer, Responses};
use crate::data::grpc::{self, Answers};
use crate::data::newcomer::Newcomer;
use crate::data::proof::Proof;
use crate::data::tcp::{DataListener, Desks};
use crate::planes::{PlaneKind, Tried};
use crate::source::pull::Door;
use crate::sync::lock;
use crate::tune;
use crate::wire::{Violation, entry};

/// How long a source may take to send its header.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a source may take to open its data sockets: as long as its tokens are good.
const DATA_TIMEOUT: Duration = Duration::from_secs(30);

/// Streams that are told of or asked for at once, at most.
const AT_ONCE: usize = 64;

/// How often it is looked whether a stream that was closed is over.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Messages to the source that wait, at most.
pub(super) const OUTBOUND: usize = 256;

/// The one session that a destination has to give.
pub(super) struct SessionHost {
    config: ServeConfig,
    data_port: u16,
    desks: Desks,
    progress: ProgressPublisher,
    taken: AtomicBool,
    news: SyncSender<News>,
    /// The session, once there is one.
    open: Mutex<Option<(String, Recovery)>>,
}

/// Answers the source of a session about its data streams: says how far those got that are lost, and hands out
/// tokens for others.
#[derive(Clone)]
pub(crate) struct Recovery {
    link: Weak<Link>,
    tokens: Arc<TokenBook>,
}

/// What a header says that fits.
pub(crate) struct Checked {
    root: blit_engine::entry::Entry,
    version: u32,
    /// The source has the feature of answering with hashes.
    hashes: bool,
    /// The source has the feature of sending parts of files.
    parts: bool,
    /// What judges whether what arrives is what was sent, and the key for the source.
    proof: Option<(Arc<Proof>, Vec<u8>)>,
    /// The source has the feature of replacing streams.
    recovers: bool,
}

impl SessionHost {
    pub(super) fn new(
        config: ServeConfig,
        data: &DataListener,
        progress: ProgressPublisher,
        news: SyncSender<News>,
    ) -> Self {
        Self {
            config,
            data_port: data.address().port(),
            desks: data.desks(),
            progress,
            taken: AtomicBool::new(false),
            news,
            open: Mutex::default(),
        }
    }

    /// Makes the session once everything is checked.
    fn open(
        &self,
        peer: &Peer,
        header: PushHeader,
        requests: Streaming<ClientPushRequest>,
    ) -> Result<Responses, Status> {
        let (uid, attempt) = (&self.config.job_uid, self.config.attempt);
        let fits = header.job_uid == *uid && header.attempt == attempt && header.ask.is_none();
        let door = Door {
            desks: &self.desks,
            port: self.data_port,
            shown: &peer.certificate,
        };
        let prepared = prepare(header, self.config.verify)?;
        if !fits {
            return Err(Status::permission_denied(format!(
                "this destination is for attempt {attempt} of job {uid}"
            )));
        }
        let progress = self.progress.clone();
        let opened = open(prepared, peer.name.to_string(), progress, requests, &door)?;
        *lock(&self.open) = Some((opened.id, opened.recovery));
        self.news
            .try_send(News::Session(Box::new(opened.session)))
            .map_err(|_| Status::unavailable("the destination is ending"))?;
        Ok(opened.responses)
    }
}

/// A session that was opened.
pub(crate) struct Opened {
    /// The session.
    pub(crate) session: Session,
    /// Its id.
    pub(crate) id: String,
    /// Answers about its streams.
    pub(crate) recovery: Recovery,
    /// What goes to the source.
    pub(crate) responses: Responses,
}

/// A header whose version fits.
pub(crate) struct Prepared {
    header: PushHeader,
    checked: Checked,
}

/// Checks what every header has. With `verify` the source has to prove what it sends; one that cannot is refused.
pub(crate) fn prepare(mut header: PushHeader, verify: bool) -> Result<Prepared, Status> {
    let hello = header.hello.take().unwrap_or_default();
    let ours = version::hello();
    let agreed = version::negotiate(&ours, &hello)
        .map_err(|mismatch| Status::failed_precondition(mismatch.to_string()))?;
    let root = header
        .root
        .take()
        .ok_or_else(|| Violation::new("a push has no root"));
    let root = root
        .and_then(entry::root_from_header)
        .map_err(|error| invalid(&error))?;
    let can = |feature| version::both_have(feature, &ours, &hello);
    let proof = match verify {
        false => None,
        true if can(version::VERIFY) => {
            let internal = |error| Status::internal(format!("{error}"));
            Some(Proof::begin().map_err(internal)?)
        }
        true => {
            return Err(Status::failed_precondition(
                "the source cannot prove what it sends, which verification asks for; install the same release \
                 of blit on both sides",
            ));
        }
    };
    let checked = Checked {
        root,
        version: agreed,
        hashes: can(version::BLAKE3),
        parts: can(version::PARTS),
        proof,
        recovers: can(version::STREAMS),
    };
    Ok(Prepared { header, checked })
}

/// Opens a session with a source that dialled, called `name`. Call it on a runtime.
pub(crate) fn open(
    prepared: Prepared,
    name: String,
    progress: ProgressPublisher,
    requests: Streaming<ClientPushRequest>,
    door: &Door<'_>,
) -> Result<Opened, Status> {
    let Prepared { header, checked } = prepared;
    let Checked {
        root,
        version,
        hashes,
        parts,
        proof,
        recovers,
    } = checked;
    let session = random_id().map_err(|error| Status::internal(error.to_string()))?;
    let id = session.clone();
    let (outbound, responses) = mpsc::channel(OUTBOUND);
    let (proof, verify_key) = proof.unzip();
    let link = Link::new(
        root,
        hashes,
        parts,
        proof,
        outbound.clone(),
        Handle::current(),
    );
    if recovers {
        link.recover();
    }
    if let Some(plane) = PlaneKind::from_word(&header.data_plane) {
        link.streams.begin_with(plane);
    }
    let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
    let tokens =
        TokenBook::new(&session, Direction::Push, door.shown).map_err(|error| internal(&error))?;
    let tokens = Arc::new(tokens);
    let one_time_tokens =
        mint(&link, &tokens, tune::streams()).map_err(|error| internal(&error))?;
    let recovery = Recovery {
        link: Arc::downgrade(&link),
        tokens: Arc::clone(&tokens),
    };
    let receiving = Arc::clone(&link);
    let on_stream = Arc::new(move |stream, newcomer: Newcomer| {
        receive(&receiving, stream, newcomer.kind(), newcomer.into_frames())
    });
    let desk = door.desks.open(tokens, on_stream);
    let negotiation = DataTransferNegotiation {
        hello: Some(version::hello()),
        data_port: u32::from(door.port),
        one_time_tokens,
        session,
        version,
        verify_key: verify_key.unwrap_or_default(),
        ..DataTransferNegotiation::default()
    };
    let first = ServerPushResponse {
        message: Some(Response::Negotiation(negotiation)),
    };
    outbound
        .try_send(Ok(first))
        .map_err(|error| internal(&error))?;
    let (closed, source_closed) = oneshot::channel();
    tokio::spawn(read(Arc::clone(&link), requests, closed));
    tokio::spawn(expect_data(Arc::clone(&link)));
    progress.attach(Some(outbound));
    let peer = PeerInfo::new(name, header);
    let session = Session::new(link, peer, progress, Some(desk), source_closed);
    Ok(Opened {
        session,
        id,
        recovery,
        responses: ReceiverStream::new(responses),
    })
}

impl Host for SessionHost {
    async fn push(
        &self,
        peer: Peer,
        mut requests: Streaming<ClientPushRequest>,
    ) -> Result<ReceiverStream<Result<ServerPushResponse, Status>>, Status> {
        if self.taken.swap(true, Ordering::SeqCst) {
            return Err(Status::already_exists("the session has a source already"));
        }
        let first = tokio::time::timeout(HEADER_TIMEOUT, requests.message()).await;
        let opened = match first {
            Ok(Ok(Some(ClientPushRequest {
                message: Some(Request::Header(header)),
            }))) => self.open(&peer, header, requests),
            Ok(Ok(_)) => Err(invalid(&Violation::new(
                "a push does not begin with a header",
            ))),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded("no header came")),
        };
        if opened.is_err() {
            // Somebody else may try, as long as nothing of a session was given away.
            self.taken.store(false, Ordering::SeqCst);
        }
        opened
    }

    fn progress(&self) -> watch::Receiver<ProgressUpdate> {
        self.progress.subscribe()
    }

    fn cancel(&self, reason: &str) {
        (self.config.on_cancel)(reason);
    }

    async fn data(&self, incoming: Streaming<DataBytes>) -> Result<Answers, Status> {
        grpc::admit(&self.desks, incoming).await
    }

    async fn streams(&self, request: StreamsRequest) -> Result<StreamsResponse, Status> {
        let open = lock(&self.open).clone();
        let open = open.filter(|(session, _)| *session == request.session);
        let (_, recovery) = open.ok_or_else(|| Status::not_found("there is no such session"))?;
        recovery.answer(request).await
    }

    fn source_state(&self, _session: &str, state: SourceState) {
        // There is one session, and only its source gets here.
        if let Some((_, recovery)) = &*lock(&self.open) {
            recovery.source_state(state);
        }
    }
}

impl Recovery {
    /// Takes what the source says about itself.
    pub(crate) fn source_state(&self, state: SourceState) {
        if let Some(link) = self.link.upgrade() {
            link.source_state(state);
        }
    }

    /// Returns when the source last said something about itself; `None` if it is known to be lost, and the session only ends
    /// what it has in hand.
    pub(crate) fn heard(&self) -> Option<Instant> {
        let link = self.link.upgrade()?;
        link.lost().is_none().then(|| link.heard()).flatten()
    }

    /// Says how far streams got that are lost, and hands out tokens for others.
    pub(crate) async fn answer(&self, request: StreamsRequest) -> Result<StreamsResponse, Status> {
        let over = || Status::not_found("the session is over");
        let link = self.link.upgrade().ok_or_else(over)?;
        if request.lost.len() > AT_ONCE || request.tokens as usize > AT_ONCE {
            return Err(invalid(&Violation::new("too many streams at once")));
        }
        let tried = request.tried.iter().take(AT_ONCE);
        link.streams
            .tried(tried.filter_map(Tried::from_wire).collect());
        let mut states = Vec::with_capacity(request.lost.len());
        for stream in request.lost {
            // Its receiver may be writing what came before.
            while !link.streams.is_over_or_close(stream) {
                if link.lost().is_some() {
                    return Err(over());
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            states.push(link.streams.final_state(stream));
        }
        let tokens = mint(&link, &self.tokens, request.tokens);
        Ok(StreamsResponse {
            states,
            one_time_tokens: tokens.map_err(|error| Status::internal(error.to_string()))?,
        })
    }
}

/// Makes tokens for new streams.
fn mint(link: &Link, tokens: &TokenBook, count: u32) -> Result<Vec<DataToken>, MintError> {
    let numbers = link.streams.numbers(count);
    numbers
        .map(|stream| tokens.mint(stream, SystemTime::now()))
        .collect()
}

/// Ends the session if no data socket came.
async fn expect_data(link: Arc<Link>) {
    tokio::time::sleep(DATA_TIMEOUT).await;
    if link.streams.count() == 0 {
        link.fail(SourceError::Lost(
            "the source opened no data connection; check that it can reach the data port"
                .to_owned(),
        ));
    }
}

fn invalid(violation: &Violation) -> Status {
    Status::invalid_argument(violation.to_string())
}

#[cfg(test)]
mod tests;

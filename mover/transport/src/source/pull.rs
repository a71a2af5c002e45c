//! A pull from the side of the source: the destination has dialled. It is given tokens for data sockets, and served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::{
    DataToken, DataTransferNegotiation, PullChunk, PullHeader, PullRequest, PushSummary,
    SourceFailed, pull_chunk,
};
use blit_proto::version;
use socket2::SockRef;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tonic::{Status, Streaming};

use super::PushOutcome;
use super::pulse::{State, Tell};
use super::serving::{Doors, Offer, Opened, Serving, lost};
use super::session::OUTBOUND;
use crate::auth::Direction;
use crate::auth::token::{TokenBook, random_id};
use crate::control::Chunks;
use crate::control::streams::{UntilError, UntilOver};
use crate::data::newcomer::Newcomer;
use crate::data::tcp::{Desk, Desks};
use crate::error::TransportError;
use crate::tune;
use crate::wire::mirror::{self, said};

/// How long a destination may take to open its data sockets: as long as its tokens are good.
const DATA_TIMEOUT: Duration = Duration::from_secs(30);

/// Numbers of streams that one session gives away at most, and at once. A destination that cannot use TCP asks for two each 30 s,
/// which is so many in eleven days; what they cost is bounded by how many are not used yet.
const STREAMS: u32 = 64 << 10;
const AT_ONCE: u32 = 64;

/// Where the data sockets of a pull come in.
pub(crate) struct Door<'a> {
    /// Who admits them.
    pub(crate) desks: &'a Desks,
    /// The port, as it is told to the destination.
    pub(crate) port: u16,
    /// What the destination showed on the control plane: its certificate (DER), or its bearer token.
    pub(crate) shown: &'a [u8],
}

/// A pull that was opened and waits to be served.
pub(crate) struct Pull {
    session: String,
    state: State,
    serving: Serving,
    requests: Streaming<PullRequest>,
    opened: mpsc::UnboundedReceiver<Opened>,
    has_streams: Arc<AtomicBool>,
    more: MoreTokens,
    /// Both sides replace data streams that break.
    recovers: bool,
    peer: String,
    over: oneshot::Sender<()>,
    _desk: Desk,
}

/// Hands out tokens for streams in the place of others.
#[derive(Clone)]
pub(crate) struct MoreTokens {
    book: Arc<TokenBook>,
    next: Arc<AtomicU32>,
}

impl MoreTokens {
    /// Makes so many tokens, each for a stream of a number of its own.
    pub(crate) fn mint(&self, count: u32) -> Result<Vec<DataToken>, Status> {
        if count > AT_ONCE {
            return Err(Status::invalid_argument("too many streams at once"));
        }
        let take = |next: u32| next.checked_add(count).filter(|next| *next <= STREAMS);
        let first = (self.next).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let first =
            first.map_err(|_| Status::resource_exhausted("too many data streams were opened"))?;
        (first..first + count)
            .map(|stream| self.book.mint(stream, SystemTime::now()))
            .collect::<Result<_, _>>()
            .map_err(|error| internal(&error))
    }
}

impl Pull {
    /// Opens the session; returns what goes to the destination as well. Nothing moves before [`Self::run`].
    pub(crate) fn open(
        offer: Offer,
        header: &PullHeader,
        requests: Streaming<PullRequest>,
        door: &Door<'_>,
    ) -> Result<(Self, Chunks), Status> {
        let mut negotiation = negotiate(header)?;
        let root = offer.header();
        let root = root.map_err(|error| Status::aborted(error.to_string()))?;
        let session = random_id().map_err(|error| internal(&error))?;
        let tokens = TokenBook::new(&session, Direction::Pull, door.shown)
            .map_err(|error| internal(&error))?;
        let more = MoreTokens {
            book: Arc::new(tokens),
            next: Arc::default(),
        };
        negotiation.one_time_tokens = more.mint(tune::streams())?;
        negotiation.data_port = u32::from(door.port);
        negotiation.session.clone_from(&session);
        let (streams, opened) = mpsc::unbounded_channel();
        let has_streams = Arc::new(AtomicBool::new(false));
        let (has, longest_wait) = (Arc::clone(&has_streams), offer.longest_wait());
        let on_stream = Arc::new(move |stream, newcomer: Newcomer| {
            // This end sends: the other may be slow to read, as long as it does something.
            if let Some(socket) = newcomer.socket()
                && let Err(error) = tune::data(SockRef::from(socket), longest_wait)
            {
                tracing::debug!(%error, "a data socket broke");
                return;
            }
            has.store(true, Ordering::Relaxed);
            // Fails when the session is over.
            let _ = streams.send((stream, newcomer.kind(), newcomer.into_sink()));
        });
        let desk = door.desks.open(Arc::clone(&more.book), on_stream);
        let (outbound, messages) = mpsc::channel(OUTBOUND);
        let (over, told) = oneshot::channel();
        let first = tokio_stream::iter([
            negotiated(negotiation),
            mirror::to_destination(said(Request::Header(root))),
        ]);
        let rest = UntilOver::new(messages, told).map(mirror::to_destination);
        let peer = offer.peer.clone();
        let told = peer.clone();
        let explain = Box::new(move |status: &Status| lost(&told, status.message()));
        let mut serving = Serving::new(offer, outbound, explain);
        let proving = serving.prove(&header.verify_key);
        proving.map_err(|violation| Status::invalid_argument(violation.to_string()))?;
        let pull = Self {
            session,
            state: State::default(),
            serving,
            requests,
            opened,
            has_streams,
            more,
            recovers: replaces_streams(header),
            peer,
            over,
            _desk: desk,
        };
        Ok((pull, Box::pin(first.chain(rest).map(Ok))))
    }

    /// Returns the id of the session.
    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// Returns where to look what the source does, for the destination that asks.
    pub(crate) fn state(&self) -> State {
        Arc::clone(&self.state)
    }

    /// Returns what gives the destination tokens for more streams.
    pub(crate) fn more_tokens(&self) -> MoreTokens {
        self.more.clone()
    }

    /// Serves until the destination has told the result.
    pub(crate) async fn run(self) -> Result<PushOutcome, TransportError> {
        let Self {
            state,
            mut serving,
            requests,
            opened,
            has_streams,
            recovers,
            peer,
            over,
            _desk,
            ..
        } = self;
        let requests = requests.map(|message| message.and_then(mirror::from_destination));
        let mut requests = UntilError::new(requests);
        let result: Result<PushSummary, TransportError> = async {
            serving.start_scan()?;
            let tell = Tell::Asked(state);
            let mut doors = Doors::Listening { opened, recovers };
            tokio::select! {
                summary = serving.converse(&mut requests, &mut doors, tell) => summary,
                () = without_data(&has_streams) => {
                    Err(lost(&peer, "it opened no data connection; check that it can reach the data port"))
                }
            }
        }
        .await;
        if let Err(error) = &result {
            serving.part(error, &mut requests).await;
        }
        let outcome = serving.end(result);
        // Fails if the destination has gone.
        let _ = over.send(());
        outcome
    }
}

/// Answers a destination whose source cannot be read, so that it says why as for any other source.
pub(crate) fn refuse(header: &PullHeader, failed: SourceFailed) -> Result<Chunks, Status> {
    let chunks = [
        negotiated(negotiate(header)?),
        mirror::to_destination(said(Request::Failed(failed))),
    ];
    Ok(Box::pin(tokio_stream::iter(chunks.map(Ok))))
}

fn negotiate(header: &PullHeader) -> Result<DataTransferNegotiation, Status> {
    let hello = header.hello.clone().unwrap_or_default();
    let version = version::negotiate(&version::hello(), &hello)
        .map_err(|mismatch| Status::failed_precondition(mismatch.to_string()))?;
    Ok(DataTransferNegotiation {
        hello: Some(version::hello()),
        version,
        ..DataTransferNegotiation::default()
    })
}

/// Returns true if the destination opens streams in the place of those that broke.
fn replaces_streams(header: &PullHeader) -> bool {
    let theirs = header.hello.as_ref();
    theirs.is_some_and(|theirs| version::both_have(version::STREAMS, &version::hello(), theirs))
}

fn negotiated(negotiation: DataTransferNegotiation) -> PullChunk {
    PullChunk {
        message: Some(pull_chunk::Message::Negotiation(negotiation)),
    }
}

/// Ends if no data socket came in time.
async fn without_data(has_streams: &AtomicBool) {
    tokio::time::sleep(DATA_TIMEOUT).await;
    if has_streams.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

fn internal(error: &dyn std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[cfg(test)]
mod tests;

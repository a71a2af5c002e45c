//! Push: the daemon is the destination of a session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::{ClientPushRequest, PushHeader};
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use super::ask::Ask;
use super::places::Taken;
use super::service::Shared;
use crate::auth::grant::{Principal, Scope};
use crate::control::Responses;
use crate::destination::host::{self, HEADER_TIMEOUT, Recovery};
use crate::destination::{ProgressPublisher, RunResult, Session};
use crate::path::RelPath;
use crate::source::pull::Door;
use crate::wire::Violation;

/// Most sessions at the same time.
const SESSIONS: u32 = 64;

/// How long a push waits for a place whose client says nothing: a lost session ends after 15 s, and what is in its hands
/// after that. Less than a client waits for an answer.
const LET_GO: Duration = Duration::from_secs(20);

/// How often it is looked whether a place is free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A push that was opened: the handler runs it to its end.
pub struct Pushed {
    /// The session.
    pub session: Session,
    /// What its client asked for and may have. The path is [`Self::path`].
    pub ask: Ask,
    /// Where to, below the root.
    pub path: RelPath,
    /// Who pushes, for logs.
    pub who: String,
    /// Gives back what the session has of the daemon, when it is over.
    pub(super) held: Held,
}

impl Pushed {
    /// Tells the client the result, and gives back what the session has of the daemon before the client knows: it may
    /// come again at once.
    pub fn finish(self, result: RunResult) {
        let Self { session, held, .. } = self;
        drop(held);
        session.finish(result);
    }
}

/// What a session has of the daemon.
pub(super) struct Held {
    shared: Arc<Shared>,
    id: String,
    place: Option<Taken>,
    _seat: Seat,
}

impl Drop for Held {
    fn drop(&mut self) {
        // A place that nobody is known to have is not waited for.
        drop(self.place.take());
        self.shared.forget(&self.id);
    }
}

/// One of the sessions that there may be.
pub(super) struct Seat(Arc<Shared>);

impl Seat {
    /// Takes a seat, if there is one.
    pub(super) fn take(shared: &Arc<Shared>) -> Result<Self, Status> {
        let take = |count: u32| (count < SESSIONS).then_some(count + 1);
        let counted = (shared.sessions).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        counted.map(|_| Self(Arc::clone(shared))).map_err(|_| {
            Status::resource_exhausted(format!(
                "the daemon has {SESSIONS} sessions already; try again when one has ended"
            ))
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a daemon knows of the session of a push.
pub(super) struct Owned {
    /// What its client showed.
    pub(super) proof: Vec<u8>,
    /// Where to.
    pub(super) path: RelPath,
    /// Answers about its streams.
    pub(super) recovery: Recovery,
}

/// Opens the session of a client that pushes.
pub(super) async fn open(
    shared: &Arc<Shared>,
    who: Principal,
    mut requests: Streaming<ClientPushRequest>,
) -> Result<Responses, Status> {
    let mut header = header(&mut requests).await?;
    let ask = header.ask.take();
    let ask = ask.ok_or_else(|| invalid(&Violation::new("a push asks a daemon for nothing")))?;
    let ask = Ask::from_wire(ask, header.single_file).map_err(|error| invalid(&error))?;
    let prepared = host::prepare(header, ask.options.verify)?;
    let path = shared.permit(&who, Scope::Write, &ask.path)?;
    if ask.options.operation == blit_engine::run::Operation::Mirror {
        shared.permit(&who, Scope::Delete, &ask.path)?;
    }
    // Before it waits: also those that wait are bounded.
    let seat = Seat::take(shared)?;
    let place = place(shared, &who, &path).await?;
    let door = Door {
        desks: &shared.desks,
        port: shared.data_port,
        shown: &who.proof,
    };
    let progress = ProgressPublisher::new();
    let opened = host::open(prepared, who.name.clone(), progress, requests, &door)?;
    shared.remember(
        &opened.id,
        Owned {
            proof: who.proof,
            path: path.clone(),
            recovery: opened.recovery,
        },
    );
    tracing::info!(who = who.name, %path, "push");
    let pushed = Pushed {
        session: opened.session,
        ask,
        path,
        who: who.name,
        held: Held {
            shared: Arc::clone(shared),
            id: opened.id,
            place: Some(place),
            _seat: seat,
        },
    };
    let handler = Arc::clone(&shared.handler);
    std::thread::Builder::new()
        .name("blit-session".to_owned())
        .spawn(move || handler.push(pushed))
        .map_err(|error| Status::internal(format!("cannot start a thread: {error}")))?;
    Ok(opened.responses)
}

/// Takes a place. One whose client has said nothing since this one came may be lost, and is waited for: whoever lost the
/// link and comes again is not told that somebody else is there. A client that lives says so twice a second.
async fn place(shared: &Shared, who: &Principal, path: &RelPath) -> Result<Taken, Status> {
    let came = Instant::now();
    let mut waits = false;
    loop {
        let other = match shared.places.take(path) {
            Ok(place) => return Ok(place),
            Err(other) => other,
        };
        if came.elapsed() >= LET_GO || shared.has_spoken(&other, came) {
            return Err(Status::aborted(format!(
                "`{path}` is in use: somebody else writes to `{other}`; try again when that has ended"
            )));
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::info!(who = who.name, %path, %other, "a push waits for one that may be lost");
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits for the first message.
async fn header(requests: &mut Streaming<ClientPushRequest>) -> Result<PushHeader, Status> {
    match timeout(HEADER_TIMEOUT, requests.message()).await {
        Ok(Ok(Some(ClientPushRequest {
            message: Some(Request::Header(header)),
        }))) => Ok(header),
        Ok(Ok(_)) => Err(invalid(&Violation::new(
            "a push does not begin with a header",
        ))),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::deadline_exceeded("no header came")),
    }
}

fn invalid(violation: &Violation) -> Status {
    Status::invalid_argument(violation.to_string())
}

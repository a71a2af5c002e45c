//! Pull: the daemon is the source of a session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blit_engine::tree::LocalSource;
use blit_proto::v2::source_failed::Reason;
use blit_proto::v2::{PullHeader, PullRequest, SourceFailed, SourceState, pull_request};
use tonic::{Status, Streaming};

use super::Refusal;
use super::push::Seat;
use super::service::{Shared, status};
use crate::auth::grant::{Principal, Scope};
use crate::control::Chunks;
use crate::error::TransportError;
use crate::source::pull::{self, Door, MoreTokens, Pull};
use crate::source::pulse::State;
use crate::source::serving::Offer;
use crate::source::{PushOutcome, Stop};
use crate::sync::lock;
use crate::wire::Violation;

/// How long a client may take to send its header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A tree, or one file, that is given to a client.
pub struct Given {
    /// The tree; opened with extended attributes in the listing.
    pub source: Arc<LocalSource>,
    /// It is one file, the only name in the listing.
    pub single_file: bool,
    /// What it is called, for messages and events of the client.
    pub display: String,
    /// Test switch: what is asked for is never sent, so that the run stalls.
    pub block_queue: bool,
}

/// The sessions of a daemon.
pub(super) struct Pulls {
    /// How long one may stand still before it is ended.
    deadline: Duration,
    state: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    under_way: HashMap<String, UnderWay>,
    /// Why there are to be no more.
    over: Option<String>,
}

/// A session under way.
struct UnderWay {
    /// What its client proved itself with.
    proof: Vec<u8>,
    state: State,
    more: MoreTokens,
    stop: Stop,
}

impl Pulls {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            state: Mutex::default(),
        }
    }

    /// Ends all sessions; later ones end as they begin.
    pub(super) fn end(&self, reason: &str) {
        let mut sessions = lock(&self.state);
        for session in sessions.under_way.values() {
            session.stop.stop(reason);
        }
        sessions.over = Some(reason.to_owned());
    }

    fn add(&self, session: &str, under_way: UnderWay) {
        let mut sessions = lock(&self.state);
        if let Some(reason) = &sessions.over {
            under_way.stop.stop(reason);
        }
        sessions.under_way.insert(session.to_owned(), under_way);
    }

    /// Returns true if a session is under way whose client proved itself with this.
    pub(super) fn has_begun(&self, proof: &[u8]) -> bool {
        let sessions = lock(&self.state);
        let mut under_way = sessions.under_way.values();
        under_way.any(|session| session.proof == proof)
    }

    fn remove(&self, session: &str) {
        lock(&self.state).under_way.remove(session);
    }
}

/// Opens the session of a client that pulls. Who that is has been checked.
pub(super) async fn open(
    shared: &Arc<Shared>,
    who: Principal,
    mut requests: Streaming<PullRequest>,
) -> Result<Chunks, Status> {
    let header = header(&mut requests).await?;
    let path = shared.permit(&who, Scope::Read, &header.path)?;
    let seat = Seat::take(shared)?;
    let (handler, wanted) = (Arc::clone(&shared.handler), path.clone());
    let one_file_system = header.one_file_system;
    let given = tokio::task::spawn_blocking(move || handler.give(&wanted, one_file_system));
    let given = given
        .await
        .map_err(|error| Status::internal(error.to_string()))?;
    let Given {
        source,
        single_file,
        display,
        block_queue,
    } = match given {
        Ok(given) => given,
        Err(Refusal::Failed(message)) => {
            let reason = Reason::Root.into();
            return pull::refuse(&header, SourceFailed { reason, message });
        }
        Err(refusal) => return Err(status(&refusal)),
    };
    let stop = Stop::new();
    let offer = Offer {
        source,
        display,
        single_file,
        peer: who.name.clone(),
        progress_deadline: Some(shared.pulls.deadline),
        scan_threads: None,
        on_slow: Arc::new(|call, path, took| {
            let path = blit_engine::entry::Escaped(path).to_string();
            tracing::warn!(call, path, seconds = took.as_secs(), "a call takes long");
        }),
        stop: stop.clone(),
        block_queue,
    };
    let door = Door {
        desks: &shared.desks,
        port: shared.data_port,
        shown: &who.proof,
    };
    let (pull, chunks) = Pull::open(offer, &header, requests, &door)?;
    let session = pull.session().to_owned();
    tracing::info!(who = who.name, %path, session, "pull");
    let under_way = UnderWay {
        proof: who.proof,
        state: pull.state(),
        more: pull.more_tokens(),
        stop,
    };
    shared.pulls.add(&session, under_way);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let _seat = seat;
        let ended = pull.run().await;
        shared.pulls.remove(&session);
        log(&who.name, &session, &ended);
    });
    Ok(chunks)
}

/// Returns true if this session is under way, and one of the caller.
pub(super) fn is_own(shared: &Shared, who: &Principal, session: &str) -> bool {
    let sessions = lock(&shared.pulls.state);
    let under_way = sessions.under_way.get(session);
    under_way.is_some_and(|under_way| under_way.proof == who.proof)
}

/// Returns what the source of a session does, if it is one of the caller.
pub(super) fn state(shared: &Shared, who: &Principal, session: &str) -> Option<SourceState> {
    let sessions = lock(&shared.pulls.state);
    let under_way = sessions.under_way.get(session)?;
    let state = (under_way.proof == who.proof).then(|| lock(&under_way.state).clone());
    state.flatten()
}

/// Returns what gives tokens for more streams of a session, if it is one of the caller.
pub(super) fn more_tokens(shared: &Shared, who: &Principal, session: &str) -> Option<MoreTokens> {
    let sessions = lock(&shared.pulls.state);
    let under_way = sessions.under_way.get(session)?;
    (under_way.proof == who.proof).then(|| under_way.more.clone())
}

async fn header(requests: &mut Streaming<PullRequest>) -> Result<PullHeader, Status> {
    match tokio::time::timeout(HEADER_TIMEOUT, requests.message()).await {
        Ok(Ok(Some(PullRequest {
            message: Some(pull_request::Message::Header(header)),
        }))) => Ok(header),
        Ok(Ok(_)) => {
            let violation = Violation::new("a pull does not begin with a header");
            Err(Status::invalid_argument(violation.to_string()))
        }
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::deadline_exceeded("no header came")),
    }
}

fn log(who: &str, session: &str, ended: &Result<PushOutcome, TransportError>) {
    match ended {
        Ok(outcome) => tracing::info!(
            who,
            session,
            result = outcome.summary.result.escape_debug().to_string(),
            bytes = outcome.bytes_sent,
            files = outcome.files_sent,
            "pull ended"
        ),
        Err(error) => tracing::warn!(who, session, %error, "pull ended"),
    }
}

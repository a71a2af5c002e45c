//! The methods of a daemon, and who may call them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use blit_engine::entry::Escaped;
use blit_proto::pki::PeerName;
use blit_proto::v2::blit_server::Blit;
use blit_proto::v2::{
    CancelRequest, CancelResponse, ClientPushRequest, DaemonState, DataBytes, FailedEntry,
    ListRequest, PingRequest, PingResponse, ProgressRequest, ProgressUpdate, PullRequest,
    PurgeRequest, PurgeResponse, SourceState, StreamsRequest, StreamsResponse,
};
use blit_proto::version;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::lists::{self, Lists, Pieces};
use super::places::Places;
use super::pull::{self, Pulls};
use super::push::{self, Owned, Seat};
use super::trial::{self, Trials};
use super::{DaemonConfig, Handler, Refusal};
use crate::auth::bearer::{TokenKey, Worthless, grant_of};
use crate::auth::grant::{Grant, Principal, Scope};
use crate::control::{Chunks, Known, Responses};
use crate::data::grpc::{self, Answers};
use crate::data::tcp::{DataListener, Desks};
use crate::destination::host::Recovery;
use crate::path::RelPath;
use crate::refusals::Refusals;
use crate::sync::lock;

/// Paths that can be purged at once.
const PURGED: usize = 1000;

/// How a bearer token is announced.
const BEARER: &str = "Bearer ";

/// What all calls share.
pub(super) struct Shared {
    token_key: TokenKey,
    pub(super) read_only: bool,
    pub(super) handler: Arc<dyn Handler>,
    /// Where the data sockets of all sessions come in, and the port.
    pub(super) desks: Desks,
    pub(super) data_port: u16,
    /// Sessions under way.
    pub(super) sessions: AtomicU32,
    /// Where something is being written.
    pub(super) places: Places,
    /// Pushes under way, by session.
    pushes: Mutex<HashMap<String, Owned>>,
    /// Pulls under way.
    pub(super) pulls: Pulls,
    /// Lists under way.
    pub(super) lists: Lists,
    /// Data streams that are tried.
    pub(super) trials: Trials,
    /// Calls of strangers.
    refusals: Refusals,
}

/// The service of a daemon.
pub(super) struct DaemonService(pub(super) Arc<Shared>);

impl Shared {
    pub(super) fn new(config: DaemonConfig, data: &DataListener) -> Self {
        Self {
            token_key: config.token_key,
            read_only: config.read_only,
            handler: config.handler,
            desks: data.desks(),
            data_port: data.address().port(),
            sessions: AtomicU32::new(0),
            trials: Trials::default(),
            refusals: Refusals::new("calls"),
            pulls: Pulls::new(config.progress_deadline),
            lists: Lists::new(config.unread_deadline),
            places: Places::default(),
            pushes: Mutex::default(),
        }
    }

    /// Notes whose a session is.
    pub(super) fn remember(&self, id: &str, owned: Owned) {
        lock(&self.pushes).insert(id.to_owned(), owned);
    }

    /// A session is over.
    pub(super) fn forget(&self, id: &str) {
        lock(&self.pushes).remove(id);
    }

    /// Returns true if whoever writes to a place has said something since then, or is no push and says nothing.
    pub(super) fn has_spoken(&self, place: &RelPath, since: Instant) -> bool {
        let pushes = lock(&self.pushes);
        let owned = pushes.values().find(|owned| owned.path == *place);
        owned.is_none_or(|owned| owned.recovery.heard().is_some_and(|when| when >= since))
    }

    /// Takes what the source of a push says about itself, if it is the one that opened the session.
    fn source_state(&self, who: &Principal, session: &str, state: SourceState) {
        if let Some(recovery) = self.push_of(who, session) {
            recovery.source_state(state);
        }
    }

    /// Judges who calls by the header of the call, before anything of what it carries is read.
    pub(super) fn judge(&self, mut call: Request<()>) -> Result<Request<()>, Status> {
        let who = self.find_out(&call)?;
        call.extensions_mut().insert(who);
        Ok(call)
    }

    /// Returns what answers about the streams of a push, to the one that opened the session.
    fn push_of(&self, who: &Principal, session: &str) -> Option<Recovery> {
        let pushes = lock(&self.pushes);
        let owned = pushes
            .get(session)
            .filter(|owned| owned.proof == who.proof)?;
        Some(owned.recovery.clone())
    }

    /// Judges a bearer token. One that has expired is good for what was begun with it: it was judged then.
    fn holder(&self, token: &str) -> Result<Principal, Worthless> {
        let proof = token.as_bytes().to_vec();
        match self.token_key.check(token, SystemTime::now()) {
            Ok((id, grant)) => Ok(Principal {
                name: format!("token {id}"),
                grant,
                proof,
                expired: false,
            }),
            Err(Worthless::Expired) if self.has_begun(&proof) => Ok(Principal {
                name: "an expired token".to_owned(),
                grant: Grant::default(),
                proof,
                expired: true,
            }),
            Err(worthless) => Err(worthless),
        }
    }

    /// Returns true if a session is under way that was opened with this.
    fn has_begun(&self, proof: &[u8]) -> bool {
        let pushes = lock(&self.pushes)
            .values()
            .any(|owned| owned.proof == proof);
        pushes || self.pulls.has_begun(proof)
    }

    /// Returns true if this session is under way, and was opened by who calls.
    fn is_own(&self, who: &Principal, session: &str) -> bool {
        self.push_of(who, session).is_some() || pull::is_own(self, who, session)
    }

    /// Returns who calls.
    fn who<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        match request.extensions().get::<Principal>() {
            Some(judged) => Ok(judged.clone()),
            None => self.find_out(request),
        }
    }

    /// Finds out who calls. A token decides if there is one, else the certificate.
    fn find_out<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        let known = request.extensions().get::<Known>();
        let peer = known.and_then(|known| known.peer.as_ref());
        let found = match request.metadata().get("authorization") {
            Some(value) => {
                let token = value
                    .to_str()
                    .ok()
                    .and_then(|text| text.strip_prefix(BEARER));
                let token = token.ok_or_else(|| "the authorization is no bearer token".to_owned());
                token.and_then(|token| {
                    self.holder(token)
                        .map_err(|worthless| worthless.to_string())
                })
            }
            None => match peer.map(|peer| (&peer.name, &peer.certificate)) {
                Some((
                    PeerName::Client {
                        name,
                        scopes,
                        prefix,
                    },
                    certificate,
                )) => {
                    let grant = grant_of(scopes, prefix);
                    let grant = grant.ok_or("the certificate says nothing of what is allowed");
                    grant.map_err(str::to_owned).map(|grant| Principal {
                        name: format!("certificate {name}"),
                        grant,
                        proof: certificate.to_vec(),
                        expired: false,
                    })
                }
                _ => Err("no token and no certificate was given".to_owned()),
            },
        };
        if let (Ok(_), Some(known)) = (&found, known) {
            known.has_proved();
        }
        found.map_err(|reason| {
            let connection = known.map_or(0, |known| known.number);
            (self.refusals).tell(|| tracing::warn!(reason, connection, "a call was refused"));
            Status::unauthenticated(reason)
        })
    }

    /// Judges whether somebody may do something at a path; returns the path.
    pub(super) fn permit(
        &self,
        who: &Principal,
        scope: Scope,
        path: &[u8],
    ) -> Result<RelPath, Status> {
        let refused = |reason: String, status: fn(String) -> Status| {
            tracing::warn!(reason, who = who.name, "a call was refused");
            status(reason)
        };
        let path =
            RelPath::new(path).map_err(|error| refused(error.to_string(), Status::out_of_range))?;
        if who.expired {
            let reason = Worthless::Expired.to_string();
            return Err(refused(reason, Status::unauthenticated));
        }
        if self.read_only && scope != Scope::Read {
            let reason = "this daemon is read-only, and nothing can be written or deleted; use another, or have it \
                          started without --read-only";
            return Err(refused(reason.to_owned(), Status::permission_denied));
        }
        (who.grant.check(scope, &path))
            .map_err(|denied| refused(denied.to_string(), Status::permission_denied))?;
        Ok(path)
    }
}

#[tonic::async_trait]
impl Blit for DaemonService {
    type PushStream = Responses;
    type PullStream = Chunks;
    type ListStream = Pieces;
    type ProgressStream = ReceiverStream<Result<ProgressUpdate, Status>>;
    type DataStream = Answers;

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let shared = &self.0;
        let who = shared.who(&request)?;
        let PingRequest {
            source,
            session,
            try_data,
            ..
        } = request.into_inner();
        if who.expired && (try_data || !shared.is_own(&who, &session)) {
            return Err(Status::unauthenticated(Worthless::Expired.to_string()));
        }
        let trial = match try_data {
            true => trial::offer(shared, &who)?,
            false => trial::Offered::default(),
        };
        if let Some(state) = source {
            shared.source_state(&who, &session, state);
        }
        let scopes = who.grant.scopes;
        let details = scopes.has(Scope::Read);
        let daemon = DaemonState {
            scopes: scopes.words().into_iter().map(str::to_owned).collect(),
            prefix: who.grant.prefix.to_bytes(),
            read_only: details && shared.read_only,
            sessions: match details {
                true => shared.sessions.load(Ordering::Relaxed),
                false => 0,
            },
        };
        Ok(Response::new(PingResponse {
            hello: Some(version::hello()),
            daemon: Some(daemon),
            source: pull::state(shared, &who, &session),
            try_receiving: trial.receiving,
            try_sending: trial.sending,
            tried: shared.trials.result(&who, &session),
            ..PingResponse::default()
        }))
    }

    async fn list(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let who = self.0.who(&request)?;
        let connection = request.extensions().get::<Known>().cloned();
        let path = (self.0).permit(&who, Scope::Read, &request.into_inner().path)?;
        let pieces = lists::open(&self.0, &who, connection, path)?;
        Ok(Response::new(pieces))
    }

    async fn push(
        &self,
        request: Request<Streaming<ClientPushRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let who = self.0.who(&request)?;
        let responses = push::open(&self.0, who, request.into_inner()).await?;
        Ok(Response::new(responses))
    }

    async fn data(
        &self,
        request: Request<Streaming<DataBytes>>,
    ) -> Result<Response<Answers>, Status> {
        // Whose session it is for is said by the token in the first frame, as on a socket.
        self.0.who(&request)?;
        let answers = grpc::admit(&self.0.desks, request.into_inner()).await?;
        Ok(Response::new(answers))
    }

    async fn streams(
        &self,
        request: Request<StreamsRequest>,
    ) -> Result<Response<StreamsResponse>, Status> {
        let who = self.0.who(&request)?;
        let request = request.into_inner();
        if let Some(recovery) = self.0.push_of(&who, &request.session) {
            return Ok(Response::new(recovery.answer(request).await?));
        }
        let more = pull::more_tokens(&self.0, &who, &request.session);
        let more = more.ok_or_else(|| Status::not_found("there is no such session"))?;
        Ok(Response::new(StreamsResponse {
            one_time_tokens: more.mint(request.tokens)?,
            ..StreamsResponse::default()
        }))
    }

    async fn pull(
        &self,
        request: Request<Streaming<PullRequest>>,
    ) -> Result<Response<Chunks>, Status> {
        let who = self.0.who(&request)?;
        let chunks = pull::open(&self.0, who, request.into_inner()).await?;
        Ok(Response::new(chunks))
    }

    async fn purge(
        &self,
        request: Request<PurgeRequest>,
    ) -> Result<Response<PurgeResponse>, Status> {
        let shared = Arc::clone(&self.0);
        let who = shared.who(&request)?;
        let PurgeRequest { paths, dry_run } = request.into_inner();
        if paths.len() > PURGED {
            let reason = format!("more than {PURGED} paths at once; name the directory above them");
            return Err(Status::out_of_range(reason));
        }
        let mut permitted = Vec::new();
        for path in paths {
            let path = shared.permit(&who, Scope::Delete, &path)?;
            if path.is_root() || path == who.grant.prefix {
                let reason = format!(
                    "`{path}` is all that you may use, and is not removed; name what is in it"
                );
                return Err(Status::out_of_range(reason));
            }
            permitted.push(path);
        }
        // Of two that lie in each other the first goes on.
        let mut held = Vec::new();
        for path in &permitted {
            held.push(shared.places.take(path).map_err(|other| {
                Status::aborted(format!(
                    "`{path}` is in use: somebody writes to `{other}`, or it was named twice; try again when that has ended"
                ))
            })?);
        }
        let seat = Seat::take(&shared)?;
        let named = permitted.iter().map(ToString::to_string);
        tracing::info!(
            who = who.name,
            paths = named.collect::<Vec<_>>().join(" "),
            dry_run,
            "purge"
        );
        let purging = tokio::task::spawn_blocking(move || {
            let _held = (held, seat);
            shared.handler.purge(&permitted, dry_run)
        });
        let purged = purging.await;
        let purged = purged.map_err(|_| Status::internal("the purge was broken off"))?;
        let purged = purged.map_err(|refusal| status(&refusal))?;
        let failures = purged.failures.iter().map(|failed| FailedEntry {
            path: cut(Escaped(&failed.path).to_string(), 512),
            error: cut(failed.message.clone(), 256),
        });
        Ok(Response::new(PurgeResponse {
            removed: purged.removed,
            failed: purged.failed,
            failures: failures.collect(),
        }))
    }

    async fn progress(
        &self,
        request: Request<ProgressRequest>,
    ) -> Result<Response<Self::ProgressStream>, Status> {
        self.0.who(&request)?;
        Err(Status::unimplemented(
            "a daemon tells the progress of a session to its client only",
        ))
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        self.0.who(&request)?;
        Err(Status::unimplemented(
            "a session of a daemon is ended by its client, which closes it",
        ))
    }
}

/// Cuts a text to so many bytes: a path may be longer than a message.
fn cut(mut text: String, most: usize) -> String {
    let boundary = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(boundary.unwrap_or(0));
    text
}

/// Returns the words of a handler as gRPC has them.
pub(super) fn status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Usage(text) => Status::not_found(text),
        Refusal::Failed(text) => Status::internal(text),
    }
}

#[cfg(test)]
mod tests;

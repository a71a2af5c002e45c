//! The methods of a daemon, and who may call them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use blit_proto::pki::PeerName;
use blit_proto::v2::blit_server::Blit;
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{
    CancelRequest, CancelResponse, ClientPushRequest, DaemonState, ListRequest, ListResponse,
    ListingEnd, PingRequest, PingResponse, ProgressRequest, ProgressUpdate, PullRequest,
    PurgeRequest, PurgeResponse,
};
use blit_proto::{LISTING_PART_BYTES, version};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::pull::{self, UnderWay};
use super::{Handler, Refusal};
use crate::auth::bearer::{TokenKey, grant_of};
use crate::auth::grant::{Principal, Scope};
use crate::control::{Chunks, Known, Responses};
use crate::data::tcp::{DataListener, Desks};
use crate::path::RelPath;
use crate::wire::entry;

/// Pieces of a list that wait to be sent, at most.
const PIECES: usize = 4;

/// How a bearer token is announced.
const BEARER: &str = "Bearer ";

/// What all calls share.
pub(super) struct Shared {
    token_key: TokenKey,
    read_only: bool,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) sessions: AtomicU32,
    /// Where sessions expect their data sockets, and the port.
    pub(super) desks: Desks,
    pub(super) data_port: u16,
    /// Pulls under way, by session.
    pub(super) pulls: Mutex<HashMap<String, UnderWay>>,
}

/// The service of a daemon.
pub(super) struct DaemonService(pub(super) Arc<Shared>);

impl Shared {
    pub(super) fn new(
        token_key: TokenKey,
        read_only: bool,
        handler: Arc<dyn Handler>,
        data: &DataListener,
    ) -> Self {
        Self {
            token_key,
            read_only,
            handler,
            sessions: AtomicU32::new(0),
            desks: data.desks(),
            data_port: data.address().port(),
            pulls: Mutex::default(),
        }
    }

    /// Finds out who calls. A token decides if there is one, else the certificate.
    fn who<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
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
                    let (id, grant) = (self.token_key.check(token, SystemTime::now()))
                        .map_err(|worthless| worthless.to_string())?;
                    Ok(Principal {
                        name: format!("token {id}"),
                        grant,
                        proof: token.as_bytes().to_vec(),
                    })
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
                    })
                }
                _ => Err("no token and no certificate was given".to_owned()),
            },
        };
        found.map_err(|reason| {
            let connection = known.map_or(0, |known| known.number);
            tracing::warn!(reason, connection, "a call was refused");
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
        if self.read_only && scope != Scope::Read {
            let reason = "this daemon is read-only; nothing can be written or deleted".to_owned();
            return Err(refused(reason, Status::permission_denied));
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
    type ListStream = ReceiverStream<Result<ListResponse, Status>>;
    type ProgressStream = ReceiverStream<Result<ProgressUpdate, Status>>;

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let shared = &self.0;
        let who = shared.who(&request)?;
        let session = request.into_inner().session;
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
            ..PingResponse::default()
        }))
    }

    async fn list(
        &self,
        request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        let shared = Arc::clone(&self.0);
        let who = shared.who(&request)?;
        let path = shared.permit(&who, Scope::Read, &request.into_inner().path)?;
        tracing::info!(who = who.name, %path, "list");
        let (pieces, stream) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || list(&*shared.handler, &path, &pieces));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn push(
        &self,
        request: Request<Streaming<ClientPushRequest>>,
    ) -> Result<Response<Responses>, Status> {
        self.0.who(&request)?;
        Err(Status::unimplemented("this daemon takes no pushes yet"))
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
        self.0.who(&request)?;
        Err(Status::unimplemented("this daemon removes nothing yet"))
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

/// Sends a list in pieces, from a thread that may block.
fn list(
    handler: &dyn Handler,
    path: &RelPath,
    pieces: &mpsc::Sender<Result<ListResponse, Status>>,
) {
    let (mut piece, mut bytes, mut count) = (ListResponse::default(), 0, 0);
    let listed = handler.list(path, &mut |found| {
        let header = entry::to_header(&found);
        bytes += header.encoded_len() + 8;
        count += 1;
        piece.entries.push(header);
        if bytes < LISTING_PART_BYTES {
            return true;
        }
        bytes = 0;
        // Fails when the client has gone.
        pieces.blocking_send(Ok(std::mem::take(&mut piece))).is_ok()
    });
    let last = match listed {
        Ok(incomplete) => {
            let outcome = match incomplete {
                None => Outcome::CompleteCount(count),
                Some(reason) => Outcome::IncompleteReason(reason),
            };
            piece.end = Some(ListingEnd {
                outcome: Some(outcome),
            });
            Ok(piece)
        }
        Err(refusal) => Err(status(&refusal)),
    };
    let _ = pieces.blocking_send(last);
}

/// Returns the words of a handler as gRPC has them.
pub(super) fn status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Usage(text) => Status::not_found(text),
        Refusal::Failed(text) => Status::internal(text),
    }
}

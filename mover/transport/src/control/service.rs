//! The methods of the service, and who may call them.

use std::pin::Pin;
use std::sync::Arc;

use blit_proto::pki::{PeerName, Role};
use blit_proto::v2::blit_server::Blit;
use blit_proto::v2::{
    CancelRequest, CancelResponse, ClientPushRequest, DataBytes, ListRequest, ListResponse,
    PingRequest, PingResponse, ProgressRequest, ProgressUpdate, PullChunk, PullRequest,
    PurgeRequest, PurgeResponse, ServerPushResponse, SourceState, StreamsRequest, StreamsResponse,
};
use blit_proto::version;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Known, Peer};
use crate::data::grpc::Answers;

/// What the service stands for.
pub(crate) trait Host: Send + Sync + 'static {
    /// Opens the session of a source, or says why not.
    fn push(
        &self,
        peer: Peer,
        requests: Streaming<ClientPushRequest>,
    ) -> impl Future<Output = Result<Responses, Status>> + Send;

    /// Opens the session of a destination that dials, or says why not.
    fn pull(
        &self,
        _peer: Peer,
        _requests: Streaming<PullRequest>,
    ) -> impl Future<Output = Result<Chunks, Status>> + Send {
        std::future::ready(Err(Status::unimplemented(NOT_SERVED)))
    }

    /// Takes a data stream inside gRPC.
    fn data(
        &self,
        _incoming: Streaming<DataBytes>,
    ) -> impl Future<Output = Result<Answers, Status>> + Send {
        std::future::ready(Err(Status::unimplemented(NOT_SERVED)))
    }

    /// Answers the source of a push about its data streams.
    fn streams(
        &self,
        _request: StreamsRequest,
    ) -> impl Future<Output = Result<StreamsResponse, Status>> + Send {
        std::future::ready(Err(Status::unimplemented(NOT_SERVED)))
    }

    /// Returns where the run is, and what follows.
    fn progress(&self) -> watch::Receiver<ProgressUpdate>;

    /// Takes the request to end early.
    fn cancel(&self, reason: &str);

    /// Takes what the source of a push says about itself.
    fn source_state(&self, _session: &str, _state: SourceState) {}

    /// Returns what the source of a pull does, for the destination that asks.
    fn state_of_source(&self, _peer: &Peer, _session: &str) -> Option<SourceState> {
        None
    }
}

/// What a source gets.
pub(crate) type Responses = ReceiverStream<Result<ServerPushResponse, Status>>;

/// What a destination gets that pulls.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<PullChunk, Status>> + Send>>;

/// The service over a host.
pub(crate) struct Service<H>(pub(crate) Arc<H>);

const NOT_SERVED: &str =
    "a mover serves the push of its own job only; ask a daemon (blit serve) instead";

#[tonic::async_trait]
impl<H: Host> Blit for Service<H> {
    type PushStream = Responses;
    type PullStream = Chunks;
    type DataStream = Answers;
    type ListStream = ReceiverStream<Result<ListResponse, Status>>;
    type ProgressStream = ReceiverStream<Result<ProgressUpdate, Status>>;

    async fn push(
        &self,
        request: Request<Streaming<ClientPushRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let peer = peer(&request)?;
        if !matches!(
            peer.name,
            PeerName::Mover {
                role: Role::Source,
                ..
            }
        ) {
            return Err(Status::permission_denied(format!(
                "{} may not push",
                peer.name
            )));
        }
        self.0
            .push(peer, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let peer = peer(&request)?;
        let is_source = matches!(
            peer.name,
            PeerName::Mover {
                role: Role::Source,
                ..
            }
        );
        let PingRequest {
            source, session, ..
        } = request.into_inner();
        if let (true, Some(state)) = (is_source, source) {
            self.0.source_state(&session, state);
        }
        Ok(Response::new(PingResponse {
            hello: Some(version::hello()),
            source: self.0.state_of_source(&peer, &session),
            ..PingResponse::default()
        }))
    }

    async fn progress(
        &self,
        request: Request<ProgressRequest>,
    ) -> Result<Response<Self::ProgressStream>, Status> {
        peer(&request)?;
        let mut state = self.0.progress();
        let (updates, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let update = state.borrow_and_update().clone();
                let last = update.summary.is_some();
                if updates.send(Ok(update)).await.is_err() || last || state.changed().await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        let peer = peer(&request)?;
        if !matches!(peer.name, PeerName::Operator { .. }) {
            return Err(Status::permission_denied(format!(
                "{} may not cancel",
                peer.name
            )));
        }
        self.0.cancel(&request.into_inner().reason);
        Ok(Response::new(CancelResponse {}))
    }

    async fn pull(
        &self,
        request: Request<Streaming<PullRequest>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let peer = peer(&request)?;
        let pulling = self.0.pull(peer, request.into_inner());
        pulling.await.map(Response::new)
    }

    async fn data(
        &self,
        request: Request<Streaming<DataBytes>>,
    ) -> Result<Response<Self::DataStream>, Status> {
        // Who may send is said by the token in the first frame, as on a socket.
        peer(&request)?;
        self.0.data(request.into_inner()).await.map(Response::new)
    }

    async fn streams(
        &self,
        request: Request<StreamsRequest>,
    ) -> Result<Response<StreamsResponse>, Status> {
        if !is_source(&peer(&request)?) {
            return Err(Status::permission_denied("only a source has data streams"));
        }
        let answer = self.0.streams(request.into_inner()).await;
        answer.map(Response::new)
    }

    async fn list(
        &self,
        _request: Request<ListRequest>,
    ) -> Result<Response<Self::ListStream>, Status> {
        Err(Status::unimplemented(NOT_SERVED))
    }

    async fn purge(
        &self,
        _request: Request<PurgeRequest>,
    ) -> Result<Response<PurgeResponse>, Status> {
        Err(Status::unimplemented(NOT_SERVED))
    }
}

fn is_source(peer: &Peer) -> bool {
    matches!(
        peer.name,
        PeerName::Mover {
            role: Role::Source,
            ..
        }
    )
}

fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let known = request.extensions().get::<Known>();
    let peer = known.and_then(|known| known.peer.clone());
    peer.ok_or_else(|| Status::unauthenticated("the connection has no certificate"))
}

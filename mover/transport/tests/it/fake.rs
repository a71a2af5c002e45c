//! Peers that follow a script instead of the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use blit_proto::control::{Connection, connect};
use blit_proto::pki::{Identity, PeerName, PeerPattern, Role};
use blit_proto::v2::blit_server::{Blit, BlitServer};
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{self, ClientPushRequest, FileHeader, ListingEnd, ListingPart, PushHeader};
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Certificate, Server, ServerTlsConfig};
use tonic::{Status, Streaming};

use crate::harness::{Attempt, JOB};

/// A source that sends what it is told.
pub(crate) struct FakeSource {
    pub(crate) outbound: mpsc::Sender<ClientPushRequest>,
    pub(crate) responses: Streaming<v2::ServerPushResponse>,
    pub(crate) connection: Connection,
}

/// Connects to a destination as `identity`.
pub(crate) async fn dial(address: SocketAddr, identity: &Identity) -> Connection {
    let expected = PeerPattern::Exactly(PeerName::mover(JOB, 1, Role::Destination).unwrap());
    connect(&address.to_string(), identity, expected)
        .await
        .unwrap()
}

pub(crate) fn header() -> PushHeader {
    PushHeader {
        hello: Some(blit_proto::version::hello()),
        job_uid: JOB.to_owned(),
        attempt: 1,
        root: Some(entry("", Some(0))),
        ..PushHeader::default()
    }
}

/// An entry; a directory if it has a number.
pub(crate) fn entry(name: &str, dir: Option<u64>) -> FileHeader {
    let kind = if dir.is_some() {
        v2::EntryKind::Directory
    } else {
        v2::EntryKind::File
    };
    FileHeader {
        name: name.as_bytes().to_vec(),
        kind: kind.into(),
        mode: 0o755,
        size: 5,
        blocks: 8,
        nlink: 1,
        ino: name.len() as u64 + 10,
        dir,
        ..FileHeader::default()
    }
}

/// A piece of a listing that ends its directory if a count is given.
pub(crate) fn part(dir: u64, part: u32, entries: Vec<FileHeader>, count: Option<u64>) -> Request {
    let end = count.map(|count| ListingEnd {
        outcome: Some(Outcome::CompleteCount(count)),
        ..ListingEnd::default()
    });
    Request::Part(ListingPart {
        dir,
        part,
        entries,
        end,
    })
}

impl FakeSource {
    /// Opens a push with a header; the error is what the destination answers instead.
    pub(crate) async fn open(
        address: SocketAddr,
        identity: &Identity,
        first: Request,
    ) -> Result<Self, Status> {
        let connection = dial(address, identity).await;
        let (outbound, requests) = mpsc::channel(16);
        outbound
            .send(ClientPushRequest {
                message: Some(first),
            })
            .await
            .unwrap();
        let responses = connection
            .client()
            .push(ReceiverStream::new(requests))
            .await?;
        Ok(Self {
            outbound,
            responses: responses.into_inner(),
            connection,
        })
    }

    pub(crate) async fn send(&self, message: Request) {
        self.outbound
            .send(ClientPushRequest {
                message: Some(message),
            })
            .await
            .unwrap();
    }

    /// Reads until the destination ends the session; returns why.
    pub(crate) async fn refused(&mut self) -> Status {
        loop {
            match self.responses.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the session ended without a reason"),
                Err(status) => return status,
            }
        }
    }
}

/// A destination, or the source of a pull, that answers what it is told, whatever it is asked.
#[derive(Default)]
pub(crate) struct FakeDestination {
    script: Vec<Response>,
    chunks: Vec<v2::PullChunk>,
    /// What it says once it was asked for streams, and pinged after that.
    last_word: Option<Response>,
    was_asked: AtomicBool,
    was_pinged: Arc<Notify>,
}

/// Serves a script until the runtime ends; the session stays open after it.
pub(crate) async fn serve(attempt: &Attempt, script: Vec<Response>) -> SocketAddr {
    serve_as(attempt.identity(Role::Destination), script).await
}

/// As [`serve`], with any identity.
pub(crate) async fn serve_as(identity: Identity, script: Vec<Response>) -> SocketAddr {
    let fake = FakeDestination {
        script,
        ..FakeDestination::default()
    };
    serve_fake(identity, fake).await
}

/// As [`serve`], by one that has forgotten the session when it is asked for streams, and says how it ended after that.
pub(crate) async fn serve_forgetting(
    attempt: &Attempt,
    script: Vec<Response>,
    last_word: Response,
) -> SocketAddr {
    let fake = FakeDestination {
        script,
        last_word: Some(last_word),
        ..FakeDestination::default()
    };
    serve_fake(attempt.identity(Role::Destination), fake).await
}

/// As [`serve`], for whoever pulls.
pub(crate) async fn serve_pull(attempt: &Attempt, chunks: Vec<v2::PullChunk>) -> SocketAddr {
    let fake = FakeDestination {
        chunks,
        ..FakeDestination::default()
    };
    serve_fake(attempt.identity(Role::Destination), fake).await
}

async fn serve_fake(identity: Identity, fake: FakeDestination) -> SocketAddr {
    let tls = ServerTlsConfig::new()
        .identity(tonic::transport::Identity::from_pem(
            identity.certificate_pem(),
            identity.key_pem(),
        ))
        .client_ca_root(Certificate::from_pem(identity.ca_pem()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().tls_config(tls).unwrap();
    let mut server = server;
    let router = server.add_service(BlitServer::new(fake));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Blit for FakeDestination {
    type PushStream = Stream<v2::ServerPushResponse>;
    type PullStream = Stream<v2::PullChunk>;
    type ListStream = Stream<v2::ListResponse>;
    type ProgressStream = Stream<v2::ProgressUpdate>;
    type DataStream = Stream<v2::DataBytes>;

    async fn data(
        &self,
        _request: tonic::Request<Streaming<v2::DataBytes>>,
    ) -> Result<tonic::Response<Self::DataStream>, Status> {
        // It takes the call, and says nothing.
        std::future::pending().await
    }

    async fn streams(
        &self,
        _request: tonic::Request<v2::StreamsRequest>,
    ) -> Result<tonic::Response<v2::StreamsResponse>, Status> {
        self.was_asked.store(true, Ordering::Relaxed);
        match self.last_word {
            Some(_) => Err(Status::not_found("there is no such session")),
            None => Err(Status::unimplemented("fake")),
        }
    }

    async fn push(
        &self,
        request: tonic::Request<Streaming<ClientPushRequest>>,
    ) -> Result<tonic::Response<Self::PushStream>, Status> {
        let (outbound, responses) = mpsc::channel(16);
        let script = self.script.clone();
        let (last_word, was_pinged) = (self.last_word.clone(), Arc::clone(&self.was_pinged));
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            let say = async |message| {
                let response = v2::ServerPushResponse {
                    message: Some(message),
                };
                let _ = outbound.send(Ok(response)).await;
            };
            for message in script {
                say(message).await;
            }
            if let Some(last_word) = last_word {
                was_pinged.notified().await;
                say(last_word).await;
            }
            while let Ok(Some(_)) = requests.message().await {}
        });
        Ok(tonic::Response::new(ReceiverStream::new(responses)))
    }

    async fn pull(
        &self,
        request: tonic::Request<Streaming<v2::PullRequest>>,
    ) -> Result<tonic::Response<Self::PullStream>, Status> {
        let (outbound, chunks) = mpsc::channel(16);
        let script = self.chunks.clone();
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            for chunk in script {
                let _ = outbound.send(Ok(chunk)).await;
            }
            while let Ok(Some(_)) = requests.message().await {}
        });
        Ok(tonic::Response::new(ReceiverStream::new(chunks)))
    }

    async fn list(
        &self,
        _request: tonic::Request<v2::ListRequest>,
    ) -> Result<tonic::Response<Self::ListStream>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn purge(
        &self,
        _request: tonic::Request<v2::PurgeRequest>,
    ) -> Result<tonic::Response<v2::PurgeResponse>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn ping(
        &self,
        _request: tonic::Request<v2::PingRequest>,
    ) -> Result<tonic::Response<v2::PingResponse>, Status> {
        if self.was_asked.load(Ordering::Relaxed) {
            self.was_pinged.notify_one();
        }
        Err(Status::unimplemented("fake"))
    }

    async fn progress(
        &self,
        _request: tonic::Request<v2::ProgressRequest>,
    ) -> Result<tonic::Response<Self::ProgressStream>, Status> {
        Err(Status::unimplemented("fake"))
    }

    async fn cancel(
        &self,
        _request: tonic::Request<v2::CancelRequest>,
    ) -> Result<tonic::Response<v2::CancelResponse>, Status> {
        Err(Status::unimplemented("fake"))
    }
}

/// Runs a future on a runtime of its own, with a limit.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_within(Duration::from_secs(30), future)
}

/// As [`block_on`], with any limit.
pub(crate) fn block_on_within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limited = async { tokio::time::timeout(limit, future).await };
    let result = runtime
        .block_on(limited)
        .unwrap_or_else(|_| panic!("the peer did not react within {limit:?}"));
    runtime.shutdown_background();
    result
}

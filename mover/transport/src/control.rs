//! The control plane: a gRPC server, and the service of a mover that takes one session, or none. The service of
//! a daemon is in `daemon`.
//!
//! Invariants, of a mover: whoever gets here has shown a certificate that TLS accepted; the source of this attempt may
//! push, once, to a destination; operators and the source may ping and follow progress; operators may
//! cancel.
//! Non-goals: what a session means (`destination`).

mod incoming;
mod server;
mod service;
mod standing;
mod strangers;
pub(crate) mod streams;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use blit_proto::MESSAGE_BYTES;
use blit_proto::control::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW};
use blit_proto::v2::blit_server::{Blit, BlitServer};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};

pub(crate) use incoming::{Known, Peer};
pub(crate) use server::{ControlServer, listen};
pub(crate) use service::{Chunks, Host, Responses};

/// Judges a call by its header, before anything of what it carries is read.
pub(crate) type Judge = Arc<dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync>;

/// Serves until `stop` is done, and then until the calls that are open have ended.
async fn serve<B: Blit>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: B,
    judge: Judge,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = BlitServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 2)
        .max_concurrent_streams(Some(16))
        .add_service(InterceptedService::new(service, move |call| judge(call)))
        .serve_with_incoming_shutdown(incoming::accept(listener, tls), stop)
        .await
        .map_err(io::Error::other)
}

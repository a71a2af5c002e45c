//! The control plane of a mover that listens: a gRPC server that takes one session, or none.
//!
//! Invariants: whoever gets here has shown a certificate that TLS accepted; the source of this attempt may
//! push, once, to a destination; operators and the source may ping and follow progress; operators may
//! cancel.
//! Non-goals: what a session means (`destination`).

mod incoming;
mod server;
mod service;
pub(crate) mod streams;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use blit_proto::MESSAGE_BYTES;
use blit_proto::control::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW};
use blit_proto::v2::blit_server::BlitServer;
use tonic::transport::Server;

pub(crate) use incoming::Peer;
pub(crate) use server::{ControlServer, listen};
use service::Service;
pub(crate) use service::{Chunks, Host, Responses};

/// Serves until `stop` is done, and then until the calls that are open have ended.
async fn serve<H: Host>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: Service<H>,
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
        .add_service(service)
        .serve_with_incoming_shutdown(incoming::accept(listener, tls), stop)
        .await
        .map_err(io::Error::other)
}

//! A data stream that was let in: whatever it goes through, its other end holds a token of the session.

use std::net::TcpStream;

use super::grpc::GrpcCall;
use super::kernel_tls::{KernelFrames, KernelSink, KernelSocket};
use super::tcp::{TcpFrames, TcpSink};
use super::tls::TlsSocket;
use super::{FrameSink, FrameStream};
use crate::planes::PlaneKind;

/// The stream.
pub(crate) enum Newcomer {
    /// A socket.
    Tcp(TcpStream),
    /// A socket with TLS on it.
    Tls(Box<TlsSocket>),
    /// A socket on which the kernel speaks TLS.
    KernelTls(Box<KernelSocket>),
    /// A call.
    Grpc(Box<GrpcCall>),
}

impl Newcomer {
    /// Returns the plane it belongs to.
    pub(crate) fn kind(&self) -> PlaneKind {
        match self {
            Self::Tcp(_) | Self::Tls(_) | Self::KernelTls(_) => PlaneKind::Tcp,
            Self::Grpc(_) => PlaneKind::Grpc,
        }
    }

    /// Returns what is received from.
    pub(crate) fn into_frames(self) -> Box<dyn FrameStream> {
        match self {
            Self::Tcp(socket) => Box::new(TcpFrames::new(socket)),
            Self::Tls(socket) => socket,
            Self::KernelTls(socket) => Box::new(KernelFrames::new(*socket)),
            Self::Grpc(call) => Box::new(call.into_frames()),
        }
    }

    /// Returns what is sent on.
    pub(crate) fn into_sink(self) -> Box<dyn FrameSink> {
        match self {
            Self::Tcp(socket) => Box::new(TcpSink::new(socket)),
            Self::Tls(socket) => socket,
            Self::KernelTls(socket) => Box::new(KernelSink::new(*socket)),
            Self::Grpc(call) => call.into_sink(),
        }
    }

    /// Returns the socket, to set it up; a call has none of its own.
    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Tls(socket) => Some(socket.socket()),
            Self::KernelTls(socket) => Some(socket.socket()),
            Self::Grpc(_) => None,
        }
    }
}

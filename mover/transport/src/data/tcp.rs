//! The data plane over TCP: blocking sockets, sendfile, no encryption.
//!
//! Invariant: no content moves before both ends have proved that they hold the token of the socket.

pub(crate) mod dial;
pub(crate) mod listener;
mod sink;
mod stream;

pub(crate) use dial::TcpPlane;
pub(crate) use listener::{DataListener, Desk, Desks};
pub(crate) use sink::TcpSink;
pub(crate) use stream::TcpFrames;

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::Close;

/// Ends a connection from another thread.
struct Closer(Arc<TcpStream>);

impl Close for Closer {
    fn close(&self) {
        // Fails only if the connection is over already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

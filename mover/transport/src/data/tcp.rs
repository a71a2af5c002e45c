//! The data plane over TCP: blocking sockets, with sendfile, or with TLS where that is asked for.
//!
//! Invariant: no content moves before both ends have proved that they hold the token of the socket.

pub(crate) mod dial;
mod greeting;
pub(crate) mod listener;
mod sink;
mod stream;

pub(crate) use dial::TcpPlane;
pub(crate) use listener::{DataListener, Desk, Desks};
pub(crate) use sink::TcpSink;
pub(crate) use stream::TcpFrames;

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::Close;
use crate::tune;
use crate::tune::path::{Path, path};

/// Ends a connection from another thread.
pub(crate) struct Closer(pub(crate) Arc<TcpStream>);

impl Close for Closer {
    fn close(&self) {
        // Fails only if the connection is over already.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    fn is_silent(&self) -> bool {
        tune::is_silent(self.0.as_fd())
    }

    fn round_trip(&self) -> Option<Duration> {
        tune::round_trip(self.0.as_fd())
    }

    fn path(&self, lasted: Duration) -> Option<Path> {
        path(self.0.as_fd(), lasted)
    }
}

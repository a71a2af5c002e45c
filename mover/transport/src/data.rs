//! The data plane: authenticated streams that carry frames from the source to the destination.
//!
//! A plane is a way to open streams ([`DataPlane`]); what goes over them is the same for all: a sender
//! thread for each stream takes work from one queue and writes frames, a receiver thread for each stream
//! reads frames and hands the content to the engine. Both block; nothing here is asynchronous.
//!
//! Invariants: a file that cannot be read, or changes while it is read, never breaks a stream: what was
//! announced is sent, padded with zeros where need be, and the end of the file says what happened.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::run::ReadStatus;
use blit_proto::v2::DataToken;

use crate::TransportError;
use crate::tune::path::Path;

pub(crate) mod grpc;
pub(crate) mod journal;
pub mod kernel_tls;
pub(crate) mod large;
pub(crate) mod newcomer;
pub(crate) mod passage;
pub(crate) mod proof;
pub(crate) mod queue;
pub(crate) mod reading;
pub(crate) mod receiver;
pub(crate) mod sender;
pub(crate) mod tcp;
mod timed;
pub(crate) mod tls;
pub(crate) mod window;

/// A way to open streams to the side that listens. Each is opened with a token: this end proves to hold it and
/// has the other end prove it too.
pub trait DataPlane: Send + Sync {
    /// Name in summaries, such as `tcp`.
    fn name(&self) -> &'static str;

    /// Opens a stream to send on: in a push.
    fn open(&self, token: &DataToken) -> Result<Box<dyn FrameSink>, TransportError>;

    /// Opens a stream to receive from: in a pull.
    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError>;
}

/// The sending end of one stream.
pub trait FrameSink: Send {
    /// Sends all of `bytes`. With `more`, something follows at once, so that it need not go alone.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()>;

    /// Sends `length` bytes of a file from `offset`; pads with zeros what the file does not give. An error
    /// is one of the stream; one of the file is in the result.
    fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, length: u32)
    -> io::Result<FileSent>;

    /// Returns true if the stream is to end soon: it cannot carry content without end.
    fn is_spent(&self) -> bool {
        false
    }

    /// Sends nothing any more; the other end sees the end of the stream behind all that was sent.
    fn finish(&mut self) -> io::Result<()>;

    /// Returns what ends the stream from another thread.
    fn closer(&self) -> Arc<dyn Close>;
}

/// The receiving end of one stream.
pub trait FrameStream: Send {
    /// Fills `buffer`. Returns false if the stream ended before the first byte of it.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool>;

    /// Moves up to `length` of the bytes that come next into an empty pipe; returns how many, at least one. `None`: this
    /// stream cannot, and has moved nothing. The end of the stream is an error.
    fn splice(&mut self, pipe: BorrowedFd<'_>, length: usize) -> io::Result<Option<usize>> {
        let _ = (pipe, length);
        Ok(None)
    }

    /// Returns what ends the stream from another thread.
    fn closer(&self) -> Arc<dyn Close>;
}

/// Ends a stream from another thread.
pub trait Close: Send + Sync {
    /// Ends it: both ends see an error or the end of the stream at once.
    fn close(&self);

    /// Returns true where the other end has not been heard of for so long that another stream is better.
    fn is_silent(&self) -> bool {
        false
    }

    /// Returns the shortest time in which something sent was acknowledged; `None`: not known.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Returns what the kernel knows of what was sent on the stream, which has lasted so long; `None` where the stream has
    /// no socket of its own.
    fn path(&self, _lasted: Duration) -> Option<Path> {
        None
    }
}

/// What became of a piece of a file that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSent {
    /// Bytes that did not pass through the memory of this process.
    pub zero_copy: u64,
    /// What was wrong with the file; then the piece ends in zeros.
    pub problem: Option<ReadStatus>,
}

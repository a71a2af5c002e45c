//! The sending end of a stream inside gRPC.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use blit_proto::v2::DataBytes;
use tokio::sync::mpsc;
use tonic::Status;

use super::super::reading::read_on;
use super::super::{Close, FileSent, FrameSink};
use super::{Closer, MESSAGE};

/// Collects what is sent and passes it on as messages: those of a call, or those of its answer.
pub(super) struct GrpcSink<M> {
    messages: Option<mpsc::Sender<M>>,
    message: fn(DataBytes) -> M,
    filled: Vec<u8>,
    closer: Closer,
}

impl GrpcSink<DataBytes> {
    /// Sends in the call.
    pub(super) fn new(messages: mpsc::Sender<DataBytes>, closer: Closer) -> Self {
        Self::over(messages, |bytes| bytes, closer)
    }
}

impl GrpcSink<Result<DataBytes, Status>> {
    /// Sends in the answer to a call.
    pub(super) fn answering(
        answers: mpsc::Sender<Result<DataBytes, Status>>,
        closer: Closer,
    ) -> Self {
        Self::over(answers, Ok, closer)
    }
}

impl<M> GrpcSink<M> {
    fn over(messages: mpsc::Sender<M>, message: fn(DataBytes) -> M, closer: Closer) -> Self {
        Self {
            messages: Some(messages),
            message,
            filled: Vec::with_capacity(MESSAGE),
            closer,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filled.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.filled, Vec::with_capacity(MESSAGE));
        let message = (self.message)(DataBytes {
            bytes: bytes.into(),
        });
        let messages = self.messages.as_ref().ok_or_else(broken)?;
        // Waits while the other side does not read, as a socket does.
        messages.blocking_send(message).map_err(|_| broken())
    }
}

impl<M: Send> FrameSink for GrpcSink<M> {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(MESSAGE - self.filled.len()));
            self.filled.extend_from_slice(now);
            left = later;
            if self.filled.len() == MESSAGE {
                self.flush()?;
            }
        }
        if more { Ok(()) } else { self.flush() }
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let mut left = length as usize;
        let mut position = offset;
        let mut problem = None;
        while left > 0 {
            let start = self.filled.len();
            let take = left.min(MESSAGE - start);
            self.filled.resize(start + take, 0);
            let read = read_on(file, position, &mut self.filled[start..], &mut problem);
            self.filled.truncate(start + read);
            position += read as u64;
            left -= read;
            if self.filled.len() == MESSAGE {
                self.flush()?;
            }
        }
        self.flush()?;
        Ok(FileSent {
            zero_copy: 0,
            problem,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        let flushed = self.flush();
        // The call ends when the last message has been taken.
        self.messages = None;
        flushed
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(self.closer.clone())
    }
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the stream inside gRPC was closed",
    )
}

#[cfg(test)]
mod tests;

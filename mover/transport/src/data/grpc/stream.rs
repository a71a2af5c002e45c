//! The receiving end of a stream inside gRPC.

use std::io;
use std::sync::Arc;

use blit_proto::v2::DataBytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::super::{Close, FrameStream};
use super::{Closer, WAITING};

/// Bytes as they come out of messages.
pub(crate) struct GrpcFrames {
    messages: mpsc::Receiver<Result<DataBytes, Status>>,
    /// What was read and not used.
    rest: prost::bytes::Bytes,
    closer: Closer,
}

impl GrpcFrames {
    /// Reads messages on a runtime from now on; `rest` came before them.
    pub(super) fn new(
        mut incoming: impl Stream<Item = Result<DataBytes, Status>> + Send + Unpin + 'static,
        rest: prost::bytes::Bytes,
        closer: Closer,
        runtime: &Handle,
    ) -> Self {
        let (sender, messages) = mpsc::channel(WAITING);
        let closing = closer.clone();
        runtime.spawn(async move {
            let pass = async {
                while let Some(message) = incoming.next().await {
                    let last = message.is_err();
                    if sender.send(message).await.is_err() || last {
                        break;
                    }
                }
            };
            tokio::select! {
                () = pass => {}
                () = closing.closed() => {}
            }
        });
        Self {
            messages,
            rest,
            closer,
        }
    }
}

impl FrameStream for GrpcFrames {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.rest.is_empty() {
                match self.messages.blocking_recv() {
                    Some(Ok(message)) => self.rest = message.bytes,
                    Some(Err(status)) => return Err(io::Error::other(status.message().to_owned())),
                    None if filled == 0 => return Ok(false),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
            let take = self.rest.len().min(buffer.len() - filled);
            buffer[filled..filled + take].copy_from_slice(&self.rest.split_to(take));
            filled += take;
        }
        Ok(true)
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(self.closer.clone())
    }
}

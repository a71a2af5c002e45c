//! The data plane inside gRPC, for paths that let only the control port through: the frames of any stream, in
//! messages of a call, on a connection of its own. So it is encrypted, and nothing goes without a copy.
//!
//! Invariants: no content moves before both ends have proved that they hold the token of the stream, as on a
//! socket. Threads block on bounded channels, never on the runtime.

mod dial;
mod serve;
mod sink;
mod stream;

pub(crate) use dial::GrpcPlane;
pub(crate) use serve::{Answers, GrpcCall, admit};

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::Close;

/// Bytes of a message at most.
const MESSAGE: usize = 256 << 10;

/// Messages that wait on either side of a channel.
const WAITING: usize = 4;

/// Ends a stream from another thread, at whichever end.
#[derive(Clone, Debug)]
pub(crate) struct Closer(Arc<watch::Sender<bool>>);

impl Default for Closer {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Closer {
    /// Waits until the stream is closed.
    async fn closed(&self) {
        let mut closed = self.0.subscribe();
        // The sender is in `self`.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

impl Close for Closer {
    fn close(&self) {
        self.0.send_replace(true);
    }
}

/// Messages until the stream is closed from this side; what waits then is dropped. Call it on a runtime.
fn until_closed<M: Send + 'static>(
    mut messages: mpsc::Receiver<M>,
    closer: Closer,
) -> impl Stream<Item = M> + Send + 'static {
    let (passed, outgoing) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = passed.closed() => None,
                () = closer.closed() => None,
            };
            let Some(message) = message else { return };
            tokio::select! {
                sent = passed.send(message) => if sent.is_err() { return },
                () = closer.closed() => return,
            }
        }
    });
    ReceiverStream::new(outgoing)
}

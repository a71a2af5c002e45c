//! Streams of messages that end when the session does.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::Status;

/// Messages until the session is over. Then those that wait are passed on, nobody can add any, and the stream ends:
/// threads that still had something to say do not keep the call open.
pub(crate) struct UntilOver<T> {
    messages: mpsc::Receiver<T>,
    over: Option<oneshot::Receiver<()>>,
}

impl<T> UntilOver<T> {
    /// The session is over when `over` is told so, or dropped.
    pub(crate) fn new(messages: mpsc::Receiver<T>, over: oneshot::Receiver<()>) -> Self {
        Self {
            messages,
            over: Some(over),
        }
    }
}

impl<T> Stream for UntilOver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(over) = &mut self.over
            && Pin::new(over).poll(cx).is_ready()
        {
            self.over = None;
            self.messages.close();
        }
        self.messages.poll_recv(cx)
    }
}

/// Messages up to the first error, which is the last.
pub(crate) struct UntilError<S>(Option<S>);

impl<S> UntilError<S> {
    pub(crate) fn new(messages: S) -> Self {
        Self(Some(messages))
    }
}

impl<T, S: Stream<Item = Result<T, Status>> + Unpin> Stream for UntilError<S> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(messages) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(messages).poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests;

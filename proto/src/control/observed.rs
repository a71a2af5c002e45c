//! A TLS stream that remembers why TLS failed.
//!
//! With TLS 1.3 a server judges the client's certificate after the client's handshake is over, so its
//! refusal arrives as an alert in the middle of HTTP/2, which passes errors on only in part.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pki::tls;

/// A stream whose first TLS error is kept.
#[derive(Debug)]
pub(super) struct Observed<S> {
    stream: S,
    failure: Arc<OnceLock<String>>,
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, failure: Arc<OnceLock<String>>) -> Self {
        Self { stream, failure }
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && let Some(inner) = error.get_ref()
            && let Some(tls_error) = inner.downcast_ref::<rustls::Error>()
        {
            self.failure.get_or_init(|| tls::explain(tls_error));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        Poll::Ready(self.note(result))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(self.note(result))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

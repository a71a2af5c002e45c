//! What a connection has shown, and whether it may stay.
//!
//! Until somebody has proved who they are, little is read of a connection: the rest waits in the kernel of who sends
//! it. Pure, but for who is woken.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use crate::sync::lock;

/// Bytes that are read of a connection before somebody has proved who they are: the beginning of HTTP/2 and the header
/// of a call with the longest token.
pub(super) const READ_UNPROVED: usize = 32 << 10;

/// The standing of one connection, shared by those who read it and those who judge its calls.
#[derive(Debug, Default)]
pub(super) struct Standing {
    proved: AtomicBool,
    /// Why the connection must end.
    over: Mutex<Option<&'static str>>,
    /// Who reads the connection.
    reader: Mutex<Option<Waker>>,
}

impl Standing {
    /// Makes the standing of a connection; `proved` if TLS has told who is there.
    pub(super) fn new(proved: bool) -> Self {
        Self {
            proved: AtomicBool::new(proved),
            ..Self::default()
        }
    }

    /// Notes that who is at the other end has proved who it is: the connection may stay, and is read on.
    pub(super) fn has_proved(&self) {
        if !self.proved.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Returns true once who is at the other end has proved who it is.
    pub(super) fn is_proved(&self) -> bool {
        self.proved.load(Ordering::SeqCst)
    }

    /// Ends the connection.
    pub(super) fn end(&self, reason: &'static str) {
        lock(&self.over).get_or_insert(reason);
        self.wake();
    }

    /// Returns why the connection must end, if so.
    pub(super) fn over(&self) -> Option<&'static str> {
        *lock(&self.over)
    }

    /// Notes who is to be woken when anything here changes. To be called before looking.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        let mut reader = lock(&self.reader);
        match &mut *reader {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *reader = Some(cx.waker().clone()),
        }
    }

    fn wake(&self) {
        // Not under the lock: who is woken may look at once.
        let reader = lock(&self.reader).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_reads_is_woken_when_somebody_has_proved_something_and_when_it_is_over() {
        let (standing, woken) = (Standing::new(false), Arc::new(Woken::default()));
        let waker = Waker::from(Arc::clone(&woken));
        standing.watch(&Context::from_waker(&waker));
        assert!(!standing.is_proved());
        standing.has_proved();
        standing.has_proved();
        assert!(standing.is_proved());
        standing.watch(&Context::from_waker(&waker));
        standing.end("first");
        standing.end("second");
        assert_eq!(standing.over(), Some("first"));
        assert_eq!(woken.0.load(Ordering::SeqCst), 2);
    }
}

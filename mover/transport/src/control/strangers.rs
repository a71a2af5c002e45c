//! Connections on which nobody has proved who they are: how many there may be.
//!
//! Those that are too many push out the oldest, and those of one address push out those of the same first; so
//! strangers who say nothing cannot keep others from being heard.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::auth::pending::Pending;
use crate::sync::lock;

/// The connections of one listener.
#[derive(Default)]
pub(super) struct Strangers(Mutex<State>);

#[derive(Default)]
struct State {
    pending: Pending,
    next: u64,
    /// Dropped to push a connection out.
    held: HashMap<u64, oneshot::Sender<()>>,
}

/// The place of one connection; given back when it is dropped. As a future it ends when the connection must go.
pub(super) struct Stranger {
    strangers: Arc<Strangers>,
    number: u64,
    pushed_out: oneshot::Receiver<()>,
}

impl Strangers {
    /// Takes a place for a connection from an address; the oldest loses its own if there are too many.
    pub(super) fn add(self: &Arc<Self>, address: IpAddr, now: Instant) -> Stranger {
        let (hold, pushed_out) = oneshot::channel();
        let mut state = lock(&self.0);
        let number = state.next;
        state.next += 1;
        if let Some(oldest) = state.pending.add(number, address, now) {
            state.held.remove(&oldest);
        }
        state.held.insert(number, hold);
        Stranger {
            strangers: Arc::clone(self),
            number,
            pushed_out,
        }
    }
}

impl Future for Stranger {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.pushed_out.is_terminated() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.pushed_out).poll(cx).map(|_| ())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut state = lock(&self.strangers.0);
        state.pending.remove(self.number);
        state.held.remove(&self.number);
    }
}

impl std::fmt::Debug for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stranger")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::auth::pending::MOST_PER_ADDRESS;

    fn must_go(stranger: &mut Stranger) -> bool {
        Pin::new(stranger)
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn the_oldest_of_an_address_goes_when_there_are_too_many() {
        let (strangers, now) = (Arc::new(Strangers::default()), Instant::now());
        let [crowd, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mut honest = strangers.add(other, now);
        let mut many: Vec<_> = (0..MOST_PER_ADDRESS)
            .map(|_| strangers.add(crowd, now))
            .collect();
        assert!(!many.iter_mut().any(must_go));
        let mut last = strangers.add(crowd, now);
        assert!(must_go(&mut many[0]) && !must_go(&mut many[1]) && !must_go(&mut last));
        // One that went gives its place to another.
        drop(many.remove(1));
        let mut next = strangers.add(crowd, now);
        assert!(!must_go(&mut many[1]) && !must_go(&mut next) && !must_go(&mut honest));
    }
}

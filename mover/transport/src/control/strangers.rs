//! Connections on which nobody has proved who they are: how many there may be.
//!
//! Those that are too many push out the oldest, and those of one address push out those of the same first; those that
//! have said something are the last to go. So strangers who say nothing cannot keep others from being heard.

use std::collections::HashMap;
use std::net::{IpAddr, TcpStream};
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
    held: HashMap<u64, Held>,
}

struct Held {
    /// Dropped to push the connection out.
    _hold: oneshot::Sender<()>,
    /// Shows whether the connection has said something, until it is known that it has.
    socket: Option<TcpStream>,
}

/// The place of one connection; given back when it is dropped. As a future it ends when the connection must go.
pub(super) struct Stranger {
    strangers: Arc<Strangers>,
    number: u64,
    pushed_out: oneshot::Receiver<()>,
}

impl Strangers {
    /// Takes a place for a connection from an address; another loses its own if there are too many. `socket` is the connection
    /// again, to look at: it does not block.
    pub(super) fn add(
        self: &Arc<Self>,
        address: IpAddr,
        socket: Option<TcpStream>,
        now: Instant,
    ) -> Stranger {
        let (hold, pushed_out) = oneshot::channel();
        let mut state = lock(&self.0);
        let number = state.next;
        state.next += 1;
        while let Some(victim) = state.pending.too_many(address) {
            // The task that reads it may not have had its turn.
            if state.has_said_something(victim) {
                state.heard(victim);
            } else {
                state.pending.remove(victim);
                state.held.remove(&victim);
            }
        }
        state.pending.add(number, address, now);
        let held = Held {
            _hold: hold,
            socket,
        };
        state.held.insert(number, held);
        Stranger {
            strangers: Arc::clone(self),
            number,
            pushed_out,
        }
    }
}

impl State {
    /// Returns true for a connection of which that is not known yet and that has said something.
    fn has_said_something(&self, number: u64) -> bool {
        let socket = self.held.get(&number).and_then(|held| held.socket.as_ref());
        socket.is_some_and(|socket| matches!(socket.peek(&mut [0]), Ok(1..)))
    }

    fn heard(&mut self, number: u64) {
        self.pending.heard(number);
        if let Some(held) = self.held.get_mut(&number) {
            held.socket = None;
        }
    }
}

impl Stranger {
    /// Returns what notes that the connection has said something: it is among the last to go.
    pub(super) fn on_word(&self) -> impl FnOnce() + Send + use<> {
        let (strangers, number) = (Arc::clone(&self.strangers), self.number);
        move || lock(&strangers.0).heard(number)
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
        let mut honest = strangers.add(other, None, now);
        let mut many: Vec<_> = (0..MOST_PER_ADDRESS)
            .map(|_| strangers.add(crowd, None, now))
            .collect();
        assert!(!many.iter_mut().any(must_go));
        let mut last = strangers.add(crowd, None, now);
        assert!(must_go(&mut many[0]) && !must_go(&mut many[1]) && !must_go(&mut last));
        // One that went gives its place to another.
        drop(many.remove(1));
        let mut next = strangers.add(crowd, None, now);
        assert!(!must_go(&mut many[1]) && !must_go(&mut next) && !must_go(&mut honest));
    }

    #[test]
    fn what_a_connection_has_said_is_looked_for_before_it_has_to_go() {
        let (strangers, now) = (Arc::new(Strangers::default()), Instant::now());
        let address = "192.0.2.1".parse().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let far = listener.accept().unwrap().0;
            far.set_nonblocking(true).unwrap();
            (near, far)
        };
        let (mut speaker, spoken) = pair();
        let (_mute, silent) = pair();
        let mut honest = strangers.add(address, Some(spoken.try_clone().unwrap()), now);
        let mut other = strangers.add(address, Some(silent), now);
        std::io::Write::write_all(&mut speaker, b"x").unwrap();
        // On loopback it is there at once, or a moment later.
        while spoken.peek(&mut [0]).is_err() {
            std::thread::yield_now();
        }
        let _crowd: Vec<_> = (0..3 * MOST_PER_ADDRESS)
            .map(|_| strangers.add(address, None, now))
            .collect();
        assert!(must_go(&mut other) && !must_go(&mut honest));
    }
}

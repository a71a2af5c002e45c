//! Which sockets may wait for their first frame to arrive, and for how long. Pure.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a socket may take to authenticate.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Most sockets that wait at the same time.
pub(crate) const MOST: usize = 256;

/// Most of them from one address: strangers cannot push out the right one from elsewhere.
pub(crate) const MOST_PER_ADDRESS: usize = 64;

/// Sockets that have not authenticated yet, oldest first; each is known by a number.
#[derive(Debug, Default)]
pub(crate) struct Pending(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    socket: u64,
    address: IpAddr,
    deadline: Instant,
}

impl Pending {
    /// Adds a socket; returns the one that must be closed for it, if there are too many.
    pub(crate) fn add(&mut self, socket: u64, address: IpAddr, now: Instant) -> Option<u64> {
        let same = |waiting: &Waiting| waiting.address == address;
        let evicted = if self.0.iter().filter(|waiting| same(waiting)).count() >= MOST_PER_ADDRESS {
            self.0
                .iter()
                .position(same)
                .and_then(|at| self.0.remove(at))
        } else if self.0.len() >= MOST {
            self.0.pop_front()
        } else {
            None
        };
        self.0.push_back(Waiting {
            socket,
            address,
            deadline: now + DEADLINE,
        });
        evicted.map(|waiting| waiting.socket)
    }

    /// Removes a socket that authenticated or went away.
    pub(crate) fn remove(&mut self, socket: u64) {
        self.0.retain(|waiting| waiting.socket != socket);
    }

    /// Removes and returns a socket whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<u64> {
        // All have the same time, so that the oldest is the first to run out.
        let over = self.0.front().is_some_and(|oldest| oldest.deadline <= now);
        if !over {
            return None;
        }
        self.0.pop_front().map(|waiting| waiting.socket)
    }

    /// Returns how long it takes until the next socket runs out of time.
    pub(crate) fn next(&self, now: Instant) -> Option<Duration> {
        self.0
            .front()
            .map(|oldest| oldest.deadline.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests;

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

/// So many of those that came last stay: they have hardly had the time to say something.
pub(crate) const NEWEST: usize = 16;

/// Sockets that have not authenticated yet, oldest first; each is known by a number.
///
/// Where there are too many those go first that have said nothing: who has a handshake under way outlasts a silent crowd of its
/// own address.
#[derive(Debug, Default)]
pub(crate) struct Pending(VecDeque<Waiting>);

#[derive(Debug)]
struct Waiting {
    socket: u64,
    address: IpAddr,
    deadline: Instant,
    /// It has said something.
    heard: bool,
}

impl Pending {
    /// Returns the socket that must be closed before another may wait that comes from this address, if there are too many: the
    /// oldest that has said nothing, else the oldest. What it has said is to be looked for before.
    pub(crate) fn too_many(&self, address: IpAddr) -> Option<u64> {
        let same = |waiting: &&Waiting| waiting.address == address;
        let of_address = self.0.iter().filter(same).count();
        let crowd = of_address >= MOST_PER_ADDRESS;
        let there = match crowd {
            true => of_address,
            false if self.0.len() >= MOST => self.0.len(),
            false => return None,
        };
        let judged = self.0.iter().filter(|waiting| !crowd || same(waiting));
        let oldest = judged.take(there - NEWEST);
        // The first of those that are equal.
        let victim = oldest.min_by_key(|waiting| waiting.heard);
        victim.map(|waiting| waiting.socket)
    }

    /// Adds a socket, once there is room for it.
    pub(crate) fn add(&mut self, socket: u64, address: IpAddr, now: Instant) {
        self.0.push_back(Waiting {
            socket,
            address,
            deadline: now + DEADLINE,
            heard: false,
        });
    }

    /// Notes that a socket has said something; returns whether that is new.
    pub(crate) fn heard(&mut self, socket: u64) -> bool {
        let waiting = self.0.iter_mut().find(|waiting| waiting.socket == socket);
        waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.heard, true))
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

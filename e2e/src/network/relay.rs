//! A host in between: passes TCP on, and can delay it, stop passing, or keep what went by.
//!
//! Delay is in user space, because not every kernel has netem: each end sees a short path to the relay, and
//! what it sends arrives later. So it shows what a protocol does with a long round trip, not what TCP does.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Host, Network};
use crate::error::{Context, Result};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes that may be under way in one direction of one connection.
const UNDER_WAY: usize = 64 << 20;

/// How a relay treats what it passes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Treatment {
    /// Time from one end to the other; the round trip is twice as long.
    pub delay: Duration,
    /// Whether what goes by is kept.
    pub keep: bool,
}

/// Ports that are passed on. It goes on until the process ends.
#[derive(Clone, Debug, Default)]
pub struct Relay(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    frozen: AtomicBool,
    kept: Mutex<Vec<u8>>,
    open: Mutex<Vec<(u16, TcpStream)>>,
}

impl Relay {
    /// Listens at ports of the far host and passes them on to the same ports of the near one. What dials the
    /// far host's own address then goes through the relay.
    pub fn start(network: &Network, ports: &[u16], treatment: Treatment) -> Result<Self> {
        let relay = Self::default();
        for &port in ports {
            let here = network.socket(Host::Far, port);
            let there = network.socket(Host::Near, port);
            let of_thread = relay.clone();
            let bound = network.inside(Host::Far, move || {
                let listener = TcpListener::bind(here)?;
                // The thread is in the namespace, as the one that starts it is.
                std::thread::spawn(move || {
                    for near in listener.incoming() {
                        let passed = near.and_then(|near| of_thread.pass(near, there, treatment));
                        // One end has gone; the other learns it from its closed socket.
                        drop(passed);
                    }
                });
                io::Result::Ok(())
            })?;
            bound.context("listen at", std::path::Path::new(&here.to_string()))?;
        }
        Ok(relay)
    }

    /// From now on everything that comes is swallowed; the connections stay.
    pub fn freeze(&self) {
        self.0.frozen.store(true, Ordering::SeqCst);
    }

    /// Tells whether something went by that holds these bytes in a row. Only where they are kept.
    pub fn saw(&self, bytes: &[u8]) -> bool {
        let kept = lock(&self.0.kept);
        kept.windows(bytes.len()).any(|window| window == bytes)
    }

    /// Returns how many bytes went by. Only where they are kept.
    pub fn seen(&self) -> usize {
        lock(&self.0.kept).len()
    }

    /// Closes every connection to a port, in the middle of whatever goes by. Returns how many there were.
    pub fn hang_up(&self, port: u16) -> usize {
        let mut open = lock(&self.0.open);
        let mut count = 0;
        open.retain(|(of, socket)| {
            let stays = *of != port;
            if !stays && socket.shutdown(Shutdown::Both).is_ok() {
                count += 1;
            }
            stays
        });
        count
    }

    fn pass(&self, near: TcpStream, there: SocketAddr, treatment: Treatment) -> io::Result<()> {
        let far = TcpStream::connect(there)?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
        }
        lock(&self.0.open).push((there.port(), near.try_clone()?));
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let (reading, pipe) = (self.clone(), Arc::new(Pipe::default()));
            let writing = (Arc::clone(&pipe), to);
            std::thread::spawn(move || reading.read(from, &pipe, treatment));
            std::thread::spawn(move || writing.0.write(writing.1));
        }
        Ok(())
    }

    fn read(&self, mut from: TcpStream, pipe: &Pipe, treatment: Treatment) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if self.0.frozen.load(Ordering::SeqCst) {
                continue;
            }
            if treatment.keep {
                lock(&self.0.kept).extend_from_slice(&buffer[..count]);
            }
            pipe.put(Instant::now() + treatment.delay, &buffer[..count]);
        }
        pipe.end();
    }
}

/// What is under way in one direction, with the time at which it arrives.
#[derive(Debug, Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    ended: bool,
}

impl Pipe {
    fn put(&self, due: Instant, bytes: &[u8]) {
        let state = lock(&self.state);
        let mut state = self
            .changed
            .wait_while(state, |state| state.bytes > UNDER_WAY && !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes.len();
        state.chunks.push_back((due, bytes.to_owned()));
        self.changed.notify_all();
    }

    fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    fn write(&self, mut to: TcpStream) {
        while let Some((due, bytes)) = self.take() {
            let now = Instant::now();
            if due > now {
                std::thread::sleep(due - now);
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        self.end();
        // Fails only if it is closed already.
        let _ = to.shutdown(Shutdown::Write);
    }

    fn take(&self) -> Option<(Instant, Vec<u8>)> {
        let state = lock(&self.state);
        let mut state = self
            .changed
            .wait_while(state, |state| state.chunks.is_empty() && !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        let chunk = state.chunks.pop_front()?;
        state.bytes -= chunk.1.len();
        self.changed.notify_all();
        Some(chunk)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

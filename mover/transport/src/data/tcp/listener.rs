//! Takes data sockets, authenticates them, and hands on those that hold a token.
//!
//! One thread waits on all sockets at once, so that a stranger who says nothing costs a kilobyte and no
//! thread. It ends when the session is over.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use socket2::SockRef;

use crate::auth::first_frame::FRAME_BYTES;
use crate::auth::pending::Pending;
use crate::auth::token::{Admitted, TokenBook};
use crate::tune;

/// Takes a socket that authenticated, with the number of its stream.
pub(crate) type OnStream = Box<dyn Fn(u32, TcpStream) + Send>;

/// The running listener; dropping it ends it.
pub(crate) struct DataListener {
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl DataListener {
    /// Starts to take sockets.
    pub(crate) fn start(
        listener: TcpListener,
        tokens: Arc<TokenBook>,
        on_stream: OnStream,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let woken = Arc::clone(&wake);
        let mut door = Door {
            listener,
            tokens,
            on_stream,
            waiting: HashMap::new(),
            next: 0,
            paused: None,
        };
        let thread = std::thread::Builder::new()
            .name("blit-data-listen".to_owned())
            .spawn(move || {
                if let Err(error) = door.run(&woken) {
                    tracing::error!(%error, "the data listener ended");
                }
            })?;
        Ok(Self {
            wake,
            thread: Some(thread),
        })
    }
}

impl Drop for DataListener {
    fn drop(&mut self) {
        // Fails only if the counter is full, and then the thread is awake already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the data listener panicked");
        }
    }
}

struct Door {
    listener: TcpListener,
    tokens: Arc<TokenBook>,
    on_stream: OnStream,
    waiting: HashMap<u64, Stranger>,
    next: u64,
    /// No socket is accepted before: the process was out of descriptors.
    paused: Option<Instant>,
}

/// How long no socket is accepted after that failed; else the wait would end at once, again and again.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket whose first frame has not arrived in full.
struct Stranger {
    socket: TcpStream,
    address: SocketAddr,
    frame: Box<[u8; FRAME_BYTES]>,
    received: usize,
}

impl Door {
    fn run(&mut self, wake: &OwnedFd) -> io::Result<()> {
        let mut pending = Pending::default();
        loop {
            let now = Instant::now();
            self.paused.take_if(|until| *until <= now);
            let pause = self.paused.map(|until| until - now);
            let limit = [pending.next(now), pause].into_iter().flatten().min();
            let (woken, accept, ready) = self.wait(wake, limit)?;
            if woken {
                return Ok(());
            }
            while let Some(socket) = pending.expire(Instant::now()) {
                if let Some(stranger) = self.waiting.remove(&socket) {
                    tracing::debug!(peer = %stranger.address, "a data socket said nothing in time");
                }
            }
            for socket in ready {
                if self.read(socket) {
                    pending.remove(socket);
                }
            }
            if accept {
                self.accept(&mut pending);
            }
        }
    }

    /// Waits; returns whether to stop, whether somebody connected, and which sockets have something.
    fn wait(&self, wake: &OwnedFd, limit: Option<Duration>) -> io::Result<(bool, bool, Vec<u64>)> {
        let numbers: Vec<u64> = self.waiting.keys().copied().collect();
        let mut fds = Vec::with_capacity(numbers.len() + 2);
        fds.push(PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN));
        let accept = if self.paused.is_some() {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        fds.push(PollFd::from_borrowed_fd(self.listener.as_fd(), accept));
        for number in &numbers {
            fds.push(PollFd::from_borrowed_fd(
                self.waiting[number].socket.as_fd(),
                PollFlags::IN,
            ));
        }
        // A millisecond more, so that the deadline is over when the wait is.
        let limit = limit.map(|limit| limit + Duration::from_millis(1));
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let ready = numbers.iter().zip(&fds[2..]).filter(|(_, fd)| is_ready(fd));
        Ok((
            is_ready(&fds[0]),
            is_ready(&fds[1]),
            ready.map(|(number, _)| *number).collect(),
        ))
    }

    fn accept(&mut self, pending: &mut Pending) {
        loop {
            let (socket, address) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "a data socket could not be accepted");
                    self.paused = Some(Instant::now() + PAUSE);
                    return;
                }
            };
            if let Err(error) = socket.set_nonblocking(true) {
                tracing::debug!(%error, "a data socket could not be set up");
                continue;
            }
            let number = self.next;
            self.next += 1;
            if let Some(oldest) = pending.add(number, address.ip(), Instant::now()) {
                self.waiting.remove(&oldest);
            }
            let frame = Box::new([0; FRAME_BYTES]);
            self.waiting.insert(
                number,
                Stranger {
                    socket,
                    address,
                    frame,
                    received: 0,
                },
            );
        }
    }

    /// Reads what has arrived; returns true if the socket does not wait any longer.
    fn read(&mut self, number: u64) -> bool {
        let Some(stranger) = self.waiting.get_mut(&number) else {
            return true;
        };
        match stranger
            .socket
            .read(&mut stranger.frame[stranger.received..])
        {
            Ok(0) => {
                self.waiting.remove(&number);
                true
            }
            Ok(count) => {
                stranger.received += count;
                if stranger.received < FRAME_BYTES {
                    return false;
                }
                if let Some(stranger) = self.waiting.remove(&number) {
                    self.judge(stranger);
                }
                true
            }
            Err(error) if is_temporary(&error) => false,
            Err(_) => {
                self.waiting.remove(&number);
                true
            }
        }
    }

    /// Admits or drops a socket whose first frame is there. Dropping it is the only answer to a bad one.
    fn judge(&self, stranger: Stranger) {
        let Stranger {
            mut socket,
            address,
            frame,
            ..
        } = stranger;
        match self.tokens.redeem(&frame, SystemTime::now()) {
            Ok(Admitted { stream, answer }) => {
                // Nothing was sent on it before, so that the answer fits its buffer.
                let ready = socket.write_all(&answer).and_then(|()| {
                    socket.set_nonblocking(false)?;
                    tune::data(SockRef::from(&socket), Duration::ZERO)
                });
                match ready {
                    Ok(()) => (self.on_stream)(stream, socket),
                    Err(error) => tracing::debug!(%error, peer = %address, "a data socket broke"),
                }
            }
            Err(reason) => tracing::warn!(%reason, peer = %address, "a data socket was refused"),
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests;

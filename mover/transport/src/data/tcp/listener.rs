//! Takes data sockets, authenticates them, and hands each to the session whose token it holds.
//!
//! One port and one thread serve all sessions of a process. The thread waits on all sockets at once, so that a
//! stranger who says nothing costs a kilobyte and no thread, whether there is a session or not.
//!
//! Invariant: the name of a session in a token only says whose book is asked; nothing else in a frame is
//! believed before that book has judged it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::time::Timespec;
use rustls::ServerConfig;
use socket2::SockRef;

use super::greeting::{self, Greeted, Greeting};
use crate::auth::first_frame::FRAME_BYTES;
use crate::auth::pending::Pending;
use crate::auth::token::{Admitted, Rejected, TokenBook, session_of};
use crate::data::newcomer::Newcomer;
use crate::data::tls::Settled;
use crate::refusals::Refusals;
use crate::sync::lock;
use crate::tune;

/// Takes a stream that authenticated, with its number. Runs on the thread of the listener, or on the runtime, so
/// it must not wait.
pub(crate) type OnStream = Arc<dyn Fn(u32, Newcomer) + Send + Sync>;

/// The running listener; dropping it ends it. Sockets that were handed on stay open.
pub(crate) struct DataListener {
    address: SocketAddr,
    desks: Desks,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// Where sessions say which sockets they expect. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Desks(Arc<Mutex<HashMap<String, Open>>>);

/// The desk of one session: while it is kept, sockets with tokens of that session are let in.
pub(crate) struct Desk {
    desks: Desks,
    session: String,
}

#[derive(Clone)]
struct Open {
    tokens: Arc<TokenBook>,
    on_stream: OnStream,
}

impl Desks {
    /// Lets the sockets of a session in from now on.
    pub(crate) fn open(&self, tokens: Arc<TokenBook>, on_stream: OnStream) -> Desk {
        let session = tokens.session().to_owned();
        let open = Open { tokens, on_stream };
        lock(&self.0).insert(session.clone(), open);
        Desk {
            desks: self.clone(),
            session,
        }
    }

    /// Judges a first frame by the book of the session that it names.
    pub(crate) fn redeem(
        &self,
        frame: &[u8; FRAME_BYTES],
    ) -> Result<(Admitted, OnStream), Rejected> {
        let session = session_of(frame)?;
        // Not held while the book thinks, nor while the session takes the socket.
        let open = lock(&self.0).get(&session).cloned();
        let Open { tokens, on_stream } = open.ok_or(Rejected::Foreign)?;
        let admitted = tokens.redeem(frame, SystemTime::now())?;
        Ok((admitted, on_stream))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        lock(&self.desks.0).remove(&self.session);
    }
}

impl DataListener {
    /// Starts to take sockets; those that begin with a handshake of TLS where there is a configuration for it.
    pub(crate) fn start(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (address, desks) = (listener.local_addr()?, Desks::default());
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let woken = Arc::clone(&wake);
        let mut door = Door {
            listener,
            tls,
            desks: desks.clone(),
            waiting: HashMap::new(),
            next: 0,
            paused: None,
            refusals: Refusals::new("data sockets"),
        };
        let thread = std::thread::Builder::new()
            .name("blit-data-listen".to_owned())
            .spawn(move || {
                if let Err(error) = door.run(&woken) {
                    tracing::error!(%error, "the data listener ended");
                }
            })?;
        Ok(Self {
            address,
            desks,
            wake,
            thread: Some(thread),
        })
    }

    /// Returns the address, with the port that the kernel chose.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where sessions say which sockets they expect.
    pub(crate) fn desks(&self) -> Desks {
        self.desks.clone()
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
    tls: Option<Arc<ServerConfig>>,
    desks: Desks,
    waiting: HashMap<u64, Stranger>,
    next: u64,
    /// No socket is accepted before: the process was out of descriptors.
    paused: Option<Instant>,
    refusals: Refusals,
}

/// How long no socket is accepted after that failed; else the wait would end at once, again and again.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket whose first frame has not arrived in full.
struct Stranger {
    socket: TcpStream,
    address: SocketAddr,
    greeting: Greeting,
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
                } else if self.has_spoken(socket) {
                    pending.heard(socket);
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
                    self.refusals
                        .tell(|| tracing::warn!(%error, "a data socket could not be accepted"));
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
            while let Some(victim) = pending.too_many(address.ip()) {
                // What it said may have come since it was looked last.
                if self.read(victim) || !(self.has_spoken(victim) && pending.heard(victim)) {
                    self.waiting.remove(&victim);
                    pending.remove(victim);
                }
            }
            pending.add(number, address.ip(), Instant::now());
            let stranger = Stranger {
                socket,
                address,
                greeting: Greeting::default(),
            };
            self.waiting.insert(number, stranger);
        }
    }

    /// Returns true if something has come over a socket that waits.
    fn has_spoken(&self, number: u64) -> bool {
        let stranger = self.waiting.get(&number);
        stranger.is_some_and(|stranger| stranger.greeting.has_begun())
    }

    /// Reads what has arrived; returns true if the socket does not wait any longer.
    fn read(&mut self, number: u64) -> bool {
        let Some(stranger) = self.waiting.get_mut(&number) else {
            return true;
        };
        match stranger
            .greeting
            .read(&mut stranger.socket, self.tls.as_ref())
        {
            Ok(()) => {
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
            greeting,
        } = stranger;
        let Greeted { frame, mut tls } = greeting.greeted();
        match self.desks.redeem(&frame) {
            Ok((Admitted { stream, answer }, on_stream)) => {
                let answered = greeting::answer(&mut socket, tls.as_mut(), &answer);
                let ready = answered.and_then(|()| {
                    socket.set_nonblocking(false)?;
                    tune::data(SockRef::from(&socket), Duration::ZERO)?;
                    let Some(tls) = tls else {
                        return Ok(Newcomer::Tcp(socket));
                    };
                    Ok(match tls.on(socket).settle()? {
                        Settled::Kernel(socket) => Newcomer::KernelTls(socket),
                        Settled::Process(socket) => Newcomer::Tls(socket),
                    })
                });
                match ready {
                    Ok(newcomer) => on_stream(stream, newcomer),
                    Err(error) => tracing::debug!(%error, peer = %address, "a data socket broke"),
                }
            }
            Err(reason) => self
                .refusals
                .tell(|| tracing::warn!(%reason, peer = %address, "a data socket was refused")),
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

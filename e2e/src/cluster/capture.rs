//! What goes over the network of a node: the packets that come in at it, put together to what the two ends of each TCP
//! connection said.
//!
//! Invariants: nothing is judged while packets come, so that none is missed for want of time; a stream of which something
//! is missing says so, because what was not seen proves nothing.
//!
//! Non-goal: IPv6, which the test cluster does not have.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, eth, recv, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::env::Env;
use super::error::{Error, Result};
use super::node::Node;

#[cfg(test)]
mod tests;

/// Bytes of packets that may wait to be taken.
const WAITING: usize = 64 << 20;

/// Longest packet: several that belong together are handed over as one.
const PACKET: usize = 256 << 10;

/// How often it is looked whether to end.
const INTERVAL: Duration = Duration::from_millis(100);

/// Packets are taken until this ends.
#[derive(Debug)]
pub struct Capture {
    end: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Vec<Segment>>>,
}

/// What one end of a connection said to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Who said it.
    pub from: SocketAddrV4,
    /// To whom.
    pub to: SocketAddrV4,
    /// What was said, as far as nothing is missing.
    pub bytes: Vec<u8>,
    /// Whether it was seen from its beginning, and nothing of it is missing.
    pub whole: bool,
}

/// A part of what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// Place of its first byte; of the one behind it where it opens the connection.
    place: u32,
    opens: bool,
    bytes: Vec<u8>,
}

impl Node {
    /// Takes what goes from and to these ports, on its way between pods of this node and others, from now on.
    pub fn capture(self, env: &Env, ports: &[u16]) -> Result<Capture> {
        let path = self.network(env)?;
        let network = File::open(path).map_err(Error::io(format!("open {path}")))?;
        Capture::start(network, ports)
    }
}

impl Capture {
    /// Takes what comes in at a network namespace from and to these ports, from now on.
    pub fn start(network: File, ports: &[u16]) -> Result<Self> {
        let end = Arc::<AtomicBool>::default();
        let (ended, ports) = (Arc::clone(&end), ports.to_vec());
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || -> std::io::Result<Vec<Segment>> {
            let socket = listen(&network);
            let _ = ready.send(socket.is_ok());
            take(&socket?, &ports, &ended)
        });
        let capture = Self { end, thread };
        match is_ready.recv() {
            Ok(true) => Ok(capture),
            _ => capture
                .end()
                .and(Err(Error::Setup("nothing can be captured".into()))),
        }
    }

    /// Ends it; returns what each end of each connection said.
    pub fn end(self) -> Result<Vec<Stream>> {
        self.end.store(true, Ordering::Relaxed);
        let taken = match self.thread.join() {
            Ok(taken) => taken,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok(streams(taken.map_err(Error::io("capture packets"))?))
    }
}

/// Opens a socket that gets every IPv4 packet that comes in at a network namespace. The calling thread stays there.
fn listen(network: &File) -> std::io::Result<OwnedFd> {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let protocol = Some(eth::IP);
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    set_socket_recv_buffer_size_force(&socket, WAITING)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(INTERVAL))?;
    Ok(socket)
}

fn take(socket: &OwnedFd, ports: &[u16], end: &AtomicBool) -> std::io::Result<Vec<Segment>> {
    let mut packet = vec![0; PACKET];
    let mut taken = Vec::new();
    loop {
        // What waits when the end comes is still taken.
        let ended = end.load(Ordering::Relaxed);
        match recv(socket, &mut packet[..], RecvFlags::empty()) {
            Ok((length, _)) => {
                let segment = segment(&packet[..length]);
                taken.extend(segment.filter(|segment| {
                    ports.contains(&segment.from.port()) || ports.contains(&segment.to.port())
                }));
            }
            Err(Errno::AGAIN | Errno::INTR) if ended => return Ok(taken),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads an IPv4 packet; `None` for what is no TCP and for what cannot be read.
fn segment(packet: &[u8]) -> Option<Segment> {
    const TCP: u8 = 6;
    const SYN: u8 = 2;
    let ip = packet.first_chunk::<20>()?;
    if ip[0] >> 4 != 4 || ip[9] != TCP {
        return None;
    }
    // Zero where it would not fit.
    let length = match usize::from(u16::from_be_bytes([ip[2], ip[3]])) {
        0 => packet.len(),
        length => length,
    };
    let tcp = packet.get(usize::from(ip[0] & 15) * 4..length.min(packet.len()))?;
    let head = tcp.first_chunk::<20>()?;
    let address = |ip: &[u8], port: [u8; 2]| {
        let ip: [u8; 4] = ip.try_into().ok()?;
        Some(SocketAddrV4::new(
            Ipv4Addr::from(ip),
            u16::from_be_bytes(port),
        ))
    };
    let opens = head[13] & SYN != 0;
    let place = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Some(Segment {
        from: address(&ip[12..16], [head[0], head[1]])?,
        to: address(&ip[16..20], [head[2], head[3]])?,
        // The opening takes a place itself.
        place: place.wrapping_add(u32::from(opens)),
        opens,
        bytes: tcp.get(usize::from(head[12] >> 4) * 4..)?.to_vec(),
    })
}

/// Puts segments together, in whatever order and however often they came.
fn streams(segments: Vec<Segment>) -> Vec<Stream> {
    let mut found: BTreeMap<(SocketAddrV4, SocketAddrV4), Vec<Segment>> = BTreeMap::new();
    for segment in segments {
        let ends = (segment.from, segment.to);
        found.entry(ends).or_default().push(segment);
    }
    found
        .into_iter()
        .map(|((from, to), segments)| {
            let opened = segments.iter().find(|segment| segment.opens);
            let begin = opened
                .or_else(|| segments.first())
                .map_or(0, |segment| segment.place);
            let mut whole = opened.is_some();
            let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            for segment in segments {
                let place = segment.place.wrapping_sub(begin);
                let part = parts.entry(place).or_default();
                // Whoever only asks whether the other end is there does it with the place before the next.
                if segment.bytes.len() > part.len() && place < u32::MAX / 2 {
                    *part = segment.bytes;
                }
            }
            let mut bytes = Vec::new();
            for (place, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
                let Some(known) = bytes.len().checked_sub(*place as usize) else {
                    whole = false;
                    break;
                };
                bytes.extend_from_slice(part.get(known..).unwrap_or_default());
            }
            Stream {
                from,
                to,
                bytes,
                whole,
            }
        })
        .collect()
}

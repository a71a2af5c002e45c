//! Socket options, what the kernel knows of a connection, and the number of streams.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

pub(crate) mod path;

/// Data sockets with which a session begins. Two keep both ends busy where the round trip is short: while one file is
/// applied the next is on its way.
pub(crate) const STREAMS: u32 = 2;

/// A test switch that only debug builds have: with how many data streams a session begins instead. Both ends have to
/// be told the same.
const BEGIN_WITH: &str = "BLIT_TEST_STREAMS";

/// How long sent bytes may stay without acknowledgement before a control connection counts as lost.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// When an idle connection is probed, and how often.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Probes without an answer after which a connection counts as lost.
const PROBES: u32 = 4;

/// The congestion control of data sockets, where the kernel has it and allows it: it keeps its rate over losses that are
/// not congestion, and fills long paths.
const CONGESTION: &str = "bbr";

/// What a kernel chooses unless it was told otherwise. Another choice was somebody's, and stays.
const UNCHOSEN: [&str; 2] = ["cubic", "reno"];

/// Retransmissions of the same bytes after which a path counts as one that swallows everything: 12.6 s at the intervals of
/// the kernel, more than a link needs that was down for 5 s (6.2 s).
const SILENT_RETRANSMISSIONS: u8 = 6;

/// Where `struct tcp_info` (linux/tcp.h) has the shortest round trip, a `u32` of microseconds.
const MIN_RTT: usize = 148;

/// Returns with how many data streams a session begins.
pub(crate) fn streams() -> u32 {
    let told = std::env::var(BEGIN_WITH).ok();
    let told = told.filter(|_| cfg!(debug_assertions));
    told.and_then(|told| told.parse().ok()).unwrap_or(STREAMS)
}

/// Sets the options of a control connection.
pub(crate) fn control(socket: SockRef<'_>) -> io::Result<()> {
    common(&socket)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Sets the options of a data socket.
///
/// The user timeout also ends a connection whose receiver is alive but does not read, and a receiver
/// does not read while its file system keeps it waiting. So the time is that for which such a wait is
/// allowed; a peer that is gone is noticed earlier, on the control connection.
///
/// Buffers keep the size that the kernel gives them, which follows the path. What the kernel made of the options is
/// returned.
pub(crate) fn data(socket: SockRef<'_>, longest_wait: Duration) -> io::Result<Landed> {
    common(&socket)?;
    socket.set_tcp_user_timeout(Some(longest_wait.max(USER_TIMEOUT)))?;
    if UNCHOSEN.contains(&congestion(&socket)?.as_str()) {
        // Not every kernel has it, and not everybody may choose it.
        let _ = socket.set_tcp_congestion(CONGESTION.as_bytes());
    }
    let landed = Landed {
        no_delay: socket.tcp_nodelay()?,
        keepalive: socket.keepalive()?,
        user_timeout: socket.tcp_user_timeout()?,
        congestion: congestion(&socket)?,
    };
    tracing::debug!(?landed, "a data socket has its options");
    Ok(landed)
}

/// Options as the kernel has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landed {
    /// Nothing waits for more to send.
    pub(crate) no_delay: bool,
    /// The peer is asked whether it lives.
    pub(crate) keepalive: bool,
    /// How long what was sent may stay without acknowledgement.
    pub(crate) user_timeout: Option<Duration>,
    /// The name of the congestion control.
    pub(crate) congestion: String,
}

fn congestion(socket: &SockRef<'_>) -> io::Result<String> {
    let name = socket.tcp_congestion()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Returns true where the path of a connection has swallowed what was sent for so long that another one is better. A peer
/// that is alive and does not read answers the probes of the kernel, and is waited for.
pub(crate) fn is_silent(socket: BorrowedFd<'_>) -> bool {
    tcp_info(socket).is_some_and(swallows)
}

/// Returns the shortest time in which something that was sent has been acknowledged.
pub(crate) fn round_trip(socket: BorrowedFd<'_>) -> Option<Duration> {
    let info: [u8; MIN_RTT + 4] = tcp_info(socket)?;
    min_rtt(&info)
}

/// Returns the beginning of what the kernel knows of a connection; `None` where it knows less, or is not asked about TCP.
fn tcp_info<const N: usize>(socket: BorrowedFd<'_>) -> Option<[u8; N]> {
    let mut info = [0_u8; N];
    let mut length = N as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`, which has so many and lives through the call; the
    // descriptor is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "no crate of ours knows this option")]
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length as usize == N).then_some(info)
}

/// Reads the shortest round trip; before the first acknowledgement there is none.
fn min_rtt(info: &[u8; MIN_RTT + 4]) -> Option<Duration> {
    let microseconds = u32::from_ne_bytes(*info.last_chunk()?);
    (microseconds > 0 && microseconds < u32::MAX)
        .then(|| Duration::from_micros(microseconds.into()))
}

/// Judges the beginning of `struct tcp_info`.
fn swallows([_state, _congestion, retransmissions, probes]: [u8; 4]) -> bool {
    retransmissions >= SILENT_RETRANSMISSIONS && probes == 0
}

fn common(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests;

//! Socket options and the number of streams.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Data sockets of a session. Two keep both ends busy where the round trip is short: while one file is
/// applied the next is on its way.
pub(crate) const STREAMS: u32 = 2;

/// How long sent bytes may stay without acknowledgement before a control connection counts as lost.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// When an idle connection is probed, and how often.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Probes without an answer after which a connection counts as lost.
const PROBES: u32 = 4;

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
pub(crate) fn data(socket: SockRef<'_>, longest_wait: Duration) -> io::Result<()> {
    common(&socket)?;
    socket.set_tcp_user_timeout(Some(longest_wait.max(USER_TIMEOUT)))
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

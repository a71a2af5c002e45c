//! TLS by the kernel: after the handshake, the keys of a data socket go to the kernel where it takes them, so that a file goes from
//! its cache into the connection with `sendfile`, and what comes needs no buffer of this process but that of its reader.
//!
//! The other end notices nothing: it gets the same records, whoever makes them. Invariants: the keys leave rustls only when nothing
//! is left in its buffers, in either direction; without the kernel's consent to a try, nothing changes; a stream whose keys were
//! taken out and not taken in is broken, and no other is tried after it. A stream ends before more was encrypted with one key than is
//! safe; new keys are not agreed on, because kernels before 6.14 cannot take them.
//! Non-goals: encryption by network cards; versions before 1.3.

mod crypto;
mod probe;
mod record;
mod socket;
mod wear;

pub use probe::{Refusal, probe};
pub(crate) use socket::{KernelFrames, KernelSink, KernelSocket};

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp};
use rustls::Connection;

use crypto::{Cipher, crypto_info};
use wear::Wear;

/// What became of a connection.
pub(crate) enum Handed {
    /// The kernel speaks TLS on it.
    Over(KernelSocket),
    /// Nothing has changed.
    Back(Box<Connection>, Arc<TcpStream>),
}

/// Hands a connection over to the kernel, if it takes such. Nothing may be left of it in buffers: see [`is_quiet`]. An error is the end
/// of the stream.
pub(crate) fn hand_over(connection: Box<Connection>, socket: Arc<TcpStream>) -> io::Result<Handed> {
    let Some((cipher, limit)) = connection.negotiated_cipher_suite().and_then(Cipher::of) else {
        return Ok(Handed::Back(connection, socket));
    };
    if let Err(reason) = probe::allowed(cipher) {
        tracing::debug!(%reason, "the kernel does not speak TLS for this process");
        return Ok(Handed::Back(connection, socket));
    }
    if let Err(errno) = attach(&socket) {
        // A connection that the other end has left says nothing of the kernel.
        if errno != Errno::ENOTCONN {
            probe::failed();
        }
        tracing::debug!(%errno, "the kernel does not take a connection");
        return Ok(Handed::Back(connection, socket));
    }
    let given = give_keys(*connection, &socket, limit);
    match &given {
        Ok(_) => tracing::debug!(?cipher, "the kernel speaks TLS on a data socket"),
        Err(_) => probe::failed(),
    }
    Ok(Handed::Over(KernelSocket::new(socket, given?)))
}

/// Returns true if a connection has no more to say or to be heard for now.
pub(crate) fn is_quiet(connection: &mut Connection) -> bool {
    let state = connection.process_new_packets();
    let heard = state.is_ok_and(|state| state.plaintext_bytes_to_read() == 0);
    heard && !connection.is_handshaking() && !connection.wants_write()
}

/// Makes a socket one on which the kernel can speak TLS. Until it has keys nothing changes on it.
fn attach(socket: &TcpStream) -> nix::Result<()> {
    setsockopt(socket, TcpUlp::default(), b"tls")
}

fn give_keys(connection: Connection, socket: &TcpStream, limit: u64) -> io::Result<Wear> {
    let secrets = connection.dangerous_extract_secrets();
    let secrets = secrets.map_err(io::Error::other)?;
    let unknown = || io::Error::from(io::ErrorKind::Unsupported);
    let [tx, rx] = [&secrets.tx, &secrets.rx].map(crypto_info);
    setsockopt(socket, TcpTlsTx, &tx.ok_or_else(unknown)?)?;
    setsockopt(socket, TcpTlsRx, &rx.ok_or_else(unknown)?)?;
    let (sent, _) = secrets.tx;
    Ok(Wear::new(sent, limit))
}

#[cfg(test)]
mod tests;

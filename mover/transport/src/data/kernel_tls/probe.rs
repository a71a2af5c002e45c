//! Whether the kernel speaks TLS for this process: found out once, with two sockets of its own and made-up keys.

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx};

use super::attach;
use super::crypto::Cipher;
use super::socket::{Read, read, say_good_bye};

/// How long the two sockets may take. They are on one host, which may be busy, and the answer counts for the whole process.
const PATIENCE: Duration = Duration::from_secs(5);

/// What goes through them.
const SAID: u8 = b'?';

/// Why the kernel does not speak TLS for this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot, or nobody has had it load what it takes.
    #[error("the kernel module `tls` is not loaded; as root, run: modprobe tls")]
    NoModule,
    /// The kernel or the sandbox does not allow it, or the kernel lacks the cipher.
    #[error("{call}: {errno}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// The answer.
        errno: String,
    },
    /// What one socket was given did not come out of the other.
    #[error("what the kernel encrypted did not come back")]
    Garbled,
    /// It said yes to the trial, and no to a connection.
    #[error("it failed on a connection of this process")]
    Failed,
}

/// Finds out whether the kernel speaks TLS for this process, with the cipher that two Blits agree on.
pub fn probe() -> Result<(), Refusal> {
    try_out(Cipher::Aes256Gcm)
}

static FAILED: AtomicBool = AtomicBool::new(false);

/// Returns whether to hand over a connection with this cipher. The first time, the kernel is asked.
pub(super) fn allowed(cipher: Cipher) -> Result<(), Refusal> {
    static ANSWERS: [OnceLock<Result<(), Refusal>>; 3] = [const { OnceLock::new() }; 3];
    if FAILED.load(Ordering::Relaxed) {
        return Err(Refusal::Failed);
    }
    let answer = ANSWERS[cipher as usize].get_or_init(|| try_out(cipher));
    answer.clone()
}

/// No connection of this process is handed over any more.
pub(super) fn failed() {
    FAILED.store(true, Ordering::Relaxed);
}

fn try_out(cipher: Cipher) -> Result<(), Refusal> {
    let (mut near, far) = pair().map_err(|error| refused("a connection on loopback", &error))?;
    for socket in [&near, &far] {
        attach(socket).map_err(|errno| match errno {
            Errno::ENOENT => Refusal::NoModule,
            errno => refused("TCP_ULP", &errno.into()),
        })?;
    }
    let key = cipher.trial_key();
    setsockopt(&near, TcpTlsTx, &key).map_err(|errno| refused("TLS_TX", &errno.into()))?;
    setsockopt(&far, TcpTlsRx, &key).map_err(|errno| refused("TLS_RX", &errno.into()))?;
    near.write_all(&[SAID])
        .and_then(|()| say_good_bye(&near))
        .map_err(|error| refused("sending", &error))?;
    let hear = || {
        let mut heard = [0; 2];
        let read = read(&far, &mut cmsg_space!(u8), &mut heard);
        let read = read.map_err(|error| refused("receiving", &error))?;
        Ok((read, heard[0]))
    };
    let said = hear()? == (Read::Content(1), SAID);
    match said && hear()?.0 == Read::GoodBye {
        true => Ok(()),
        false => Err(Refusal::Garbled),
    }
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    loop {
        let (far, address) = listener.accept()?;
        // Anybody on this host may have been faster.
        if address == near.local_addr()? {
            far.set_read_timeout(Some(PATIENCE))?;
            return Ok((near, far));
        }
    }
}

fn refused(call: &'static str, error: &io::Error) -> Refusal {
    Refusal::Refused {
        call,
        errno: error.to_string(),
    }
}

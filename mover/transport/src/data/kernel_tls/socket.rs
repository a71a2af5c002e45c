//! A data socket on which the kernel speaks TLS: what is written is content, and the end is a record of its own.
//!
//! What comes is read, and not moved through a pipe: a read takes as many records as there are, `splice` one.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use socket2::{MsgHdr, SockRef};

use super::super::tcp::{Closer, TcpSink};
use super::super::{Close, FileSent, FrameSink, FrameStream};
use super::record::{CLOSE_NOTIFY, Meaning, alert_control, meaning};
use super::wear::Wear;

/// A socket whose keys the kernel has.
pub(crate) struct KernelSocket {
    socket: Arc<TcpStream>,
    wear: Wear,
}

impl KernelSocket {
    pub(super) fn new(socket: Arc<TcpStream>, wear: Wear) -> Self {
        Self { socket, wear }
    }

    /// Returns the socket, to set it up.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

/// The sending end: a plain socket to whoever writes, but for its end.
pub(crate) struct KernelSink {
    socket: Arc<TcpStream>,
    sink: TcpSink,
    wear: Wear,
}

impl KernelSink {
    pub(crate) fn new(KernelSocket { socket, wear }: KernelSocket) -> Self {
        Self {
            sink: TcpSink::over(Arc::clone(&socket)),
            socket,
            wear,
        }
    }
}

impl FrameSink for KernelSink {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let wear = self.wear.send(bytes.len() as u64);
        wear.map_err(io::Error::other)?;
        self.sink.send(bytes, more)
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let wear = self.wear.send(length.into());
        wear.map_err(io::Error::other)?;
        self.sink.send_file(file, offset, length)
    }

    /// Says good-bye. The end of the connection follows when the socket is closed, behind what the kernel has not sent yet: it may
    /// encrypt in the background, and then what ends the connection at once would cut that off.
    fn finish(&mut self) -> io::Result<()> {
        say_good_bye(&self.socket)
    }

    fn is_spent(&self) -> bool {
        self.wear.is_near()
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.socket)))
    }
}

/// The receiving end.
pub(crate) struct KernelFrames {
    socket: Arc<TcpStream>,
    /// Where the kernel says of which type a record is.
    control: Vec<u8>,
    /// The other end has said good-bye.
    is_over: bool,
}

impl KernelFrames {
    pub(crate) fn new(KernelSocket { socket, .. }: KernelSocket) -> Self {
        Self {
            socket,
            control: cmsg_space!(u8),
            is_over: false,
        }
    }
}

impl FrameStream for KernelFrames {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() && !self.is_over {
            match read(&self.socket, &mut self.control, &mut buffer[filled..])? {
                Read::Content(count) => filled += count,
                Read::GoodBye => self.is_over = true,
            }
        }
        match filled {
            _ if filled == buffer.len() => Ok(true),
            0 => Ok(false),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn closer(&self) -> Arc<dyn Close> {
        Arc::new(Closer(Arc::clone(&self.socket)))
    }
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Content(usize),
    GoodBye,
}

/// Reads once, of records of one type. The end of the connection without a good-bye is an error.
pub(super) fn read(socket: &TcpStream, control: &mut [u8], buffer: &mut [u8]) -> io::Result<Read> {
    let (count, kind) = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(control),
            MsgFlags::empty(),
        ) {
            Ok(message) => message,
            Err(nix::Error::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let kind = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::TlsGetRecordType(kind) => Some(kind),
            _ => None,
        });
        break (message.bytes, kind);
    };
    // Every record has a type.
    let Some(kind) = kind else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    match meaning(kind, &buffer[..count])? {
        Meaning::Content => Ok(Read::Content(count)),
        Meaning::GoodBye => Ok(Read::GoodBye),
    }
}

pub(super) fn say_good_bye(socket: &TcpStream) -> io::Result<()> {
    let (control, parts) = (alert_control(), [IoSlice::new(&CLOSE_NOTIFY)]);
    let message = MsgHdr::new().with_buffers(&parts).with_control(&control);
    loop {
        match SockRef::from(socket).sendmsg(&message, libc::MSG_NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

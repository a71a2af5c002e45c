//! Another way to a daemon on this host: through ports that pass everything on, and that can stop to pass on content.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::serve::Daemon;

/// An address of this host that the daemons of the tests do not use.
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

/// Bytes that are passed on at a time.
const CHUNK: usize = 16 << 10;

/// Ports that lead to a daemon. They go on until the process of the test ends.
pub(crate) struct Detour {
    control: SocketAddr,
}

/// What is common to all connections.
#[derive(Default)]
struct Passed {
    /// Bytes of content, and what belongs to it.
    bytes: AtomicU64,
    /// After how many of them nothing more is passed on, nor read.
    hold: Option<u64>,
}

impl Detour {
    /// Leads to the control port of a daemon, and from its data port, at the address of the detour, to `data`. After so many
    /// bytes of content, on sockets or inside gRPC, connections with content are held: they stay open, and nothing
    /// goes through in either direction. Serves one session.
    pub(crate) fn to(daemon: &Daemon, data: SocketAddr, hold: Option<u64>) -> Self {
        let passed = Arc::new(Passed {
            bytes: AtomicU64::new(0),
            hold,
        });
        // The first connection to the control port is control; what follows carries content.
        let control = listen(0, daemon.address, 1, &passed);
        listen(daemon.data, data, 0, &passed);
        Self { control }
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("blit://{}/{path}", self.control)
    }
}

/// Passes connections on, the first of which are free of content.
fn listen(port: u16, to: SocketAddr, free: usize, passed: &Arc<Passed>) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from((ELSEWHERE, port))).unwrap();
    let address = listener.local_addr().unwrap();
    let passed = Arc::clone(passed);
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().enumerate() {
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            for (from, to) in [(near, far), back] {
                let counted = (number >= free).then(|| Arc::clone(&passed));
                std::thread::spawn(move || pass(from, to, counted.as_deref()));
            }
        }
    });
    address
}

fn pass(mut from: TcpStream, mut to: TcpStream, counted: Option<&Passed>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(passed) = counted {
            let bytes = passed.bytes.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
            while passed.hold.is_some_and(|hold| bytes >= hold) {
                std::thread::park();
            }
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // One end has gone; the other is to learn it.
    let _ = to.shutdown(Shutdown::Both);
}

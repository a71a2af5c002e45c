//! Somebody between two sides of a session who passes everything on, and alters what he likes of it.
//!
//! The data port is told over TLS and dialled at the address that control reached. So the relay listens at another
//! address of loopback, on the same two ports, and who dials is sent there. Each relay has an address of its own, as whoever
//! listened there before may have had the same ports.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Relays of this process.
static RELAYS: AtomicU8 = AtomicU8::new(0);

/// Sees what goes over data sockets, in either direction, before it is passed on.
pub(crate) type OnData = dyn Fn(&mut [u8]) + Send + Sync;

/// A relay to whoever listens; its threads end with the process.
pub(crate) struct Relay {
    /// Where to dial.
    pub(crate) control: SocketAddr,
    data: Arc<AtomicU64>,
}

impl Relay {
    /// Stands before these ports of loopback.
    pub(crate) fn to(control: u16, data: u16, on_data: Arc<OnData>) -> Self {
        let passed = Arc::new(AtomicU64::new(0));
        let place = place();
        listen(
            (place, control),
            Arc::new(|_: &mut [u8]| ()),
            Arc::default(),
        );
        listen((place, data), on_data, Arc::clone(&passed));
        Self {
            control: SocketAddr::from((place, control)),
            data: passed,
        }
    }

    /// Stands before one port of loopback, over which everything goes.
    pub(crate) fn to_one(port: u16, on_data: Arc<OnData>) -> Self {
        let passed = Arc::new(AtomicU64::new(0));
        let place = place();
        listen((place, port), on_data, Arc::clone(&passed));
        Self {
            control: SocketAddr::from((place, port)),
            data: passed,
        }
    }

    /// Returns how many bytes went over data sockets: all there were on the wire.
    pub(crate) fn passed(&self) -> u64 {
        self.data.load(Ordering::Relaxed)
    }
}

/// Returns an address of loopback that no other relay has.
fn place() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let relay = RELAYS.fetch_add(1, Ordering::Relaxed);
    // 127.0.0.1 is everybody's.
    Ipv4Addr::new(127, high | 0x80, low, relay)
}

fn listen((place, port): (Ipv4Addr, u16), on_data: Arc<OnData>, passed: Arc<AtomicU64>) {
    let listener = TcpListener::bind((place, port)).unwrap();
    std::thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            let Ok(to) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                continue;
            };
            let (on_data, passed) = (Arc::clone(&on_data), Arc::clone(&passed));
            let back = (
                to.try_clone().unwrap(),
                from.try_clone().unwrap(),
                Arc::clone(&on_data),
                Arc::clone(&passed),
            );
            std::thread::spawn(move || pass(from, to, &*on_data, &passed));
            std::thread::spawn(move || {
                pass(back.0, back.1, &*back.2, &back.3);
            });
        }
    });
}

/// Passes on in one direction until either side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, on_data: &OnData, passed: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let bytes = &mut buffer[..count];
        on_data(bytes);
        passed.fetch_add(count as u64, Ordering::Relaxed);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    // What was begun on one side ends on the other.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

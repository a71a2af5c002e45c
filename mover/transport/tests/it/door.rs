//! What a daemon puts up with: from clients that ask and do not read, and from strangers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use blit_engine::entry::Entry;
use blit_engine::fs::Dir;
use blit_engine::run::Purged;
use blit_proto::control::access::Access;
use blit_proto::control::{Connection, connect_as};
use blit_proto::pki::daemon::client_config;
use blit_proto::v2::{ListRequest, ListResponse};
use blit_transport::client::Remote;
use blit_transport::daemon::{Given, Handler, Pushed, Refusal};
use blit_transport::path::RelPath;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tonic::{Code, Status, Streaming};

use crate::fake::block_on;
use crate::served::Served;

/// How a terminal is cleared, and a line made up.
const EVIL: &str = "\u{1b}[2J\u{9b}1m\r\nremoved everything";

/// Lists without an end; other things it refuses in words that are no good for a terminal.
struct Endless(Entry);

impl Endless {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        std::fs::write(work.path().join("name"), "").unwrap();
        let dir = Dir::open_root(work.path()).unwrap();
        Self(Entry {
            name: b"name".as_slice().into(),
            meta: dir.stat(b"name").unwrap(),
            target: None,
            dir: None,
            xattrs: None,
        })
    }
}

impl Handler for Endless {
    fn list(
        &self,
        path: &RelPath,
        give: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<Option<String>, Refusal> {
        match path.to_bytes().as_slice() {
            b"one" => {
                give(self.0.clone());
                Ok(None)
            }
            b"part" => Ok(Some(EVIL.to_owned())),
            b"" => {
                while give(self.0.clone()) {}
                Ok(None)
            }
            _ => Err(Refusal::Usage(EVIL.to_owned())),
        }
    }

    fn give(&self, _: &RelPath, _: bool) -> Result<Given, Refusal> {
        Err(Refusal::Failed(EVIL.to_owned()))
    }

    fn push(&self, pushed: Pushed) {
        drop(pushed);
    }

    fn purge(&self, _: &[RelPath], _: bool) -> Result<Purged, Refusal> {
        Err(Refusal::Failed(EVIL.to_owned()))
    }
}

pub(crate) fn served(unread_deadline: Duration) -> Served {
    Served::new(Endless::new(), unread_deadline)
}

/// Returns the daemon for who holds a new token.
fn remote(served: &Served) -> Remote {
    Remote {
        address: served.address().to_string(),
        access: served.daemon_access(),
    }
}

/// Opens a TLS connection of somebody without a token, on which everything can be written.
pub(crate) fn stranger(served: &Served) -> StreamOwned<ClientConnection, TcpStream> {
    let config = client_config(&served.trust(), None).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let socket = TcpStream::connect(served.address()).unwrap();
    let limit = Some(Duration::from_secs(60));
    socket.set_read_timeout(limit).unwrap();
    let client = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).unwrap();
    stream
}

/// Returns a frame of HTTP/2.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

async fn connect(remote: &Remote) -> Connection {
    let access = Access::Daemon(remote.access.clone());
    connect_as(&remote.address, &access).await.unwrap()
}

/// Asks for the list that has no end, and reads nothing of it.
async fn unread(connection: &Connection) -> Result<Streaming<ListResponse>, Status> {
    let request = ListRequest { path: Vec::new() };
    Ok(connection.client().list(request).await?.into_inner())
}

#[test]
fn a_client_that_reads_no_list_keeps_nobody_else_from_listing() {
    let served = served(Duration::from_secs(600));
    let (greedy, honest) = (remote(&served), remote(&served));
    block_on(async {
        // Over several connections: it is the token that counts.
        let (mut held, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let connection = connect(&greedy).await;
            for _ in 0..4 {
                match unread(&connection).await {
                    Ok(list) => held.push((list, connection.clone())),
                    Err(status) => refused.push(status),
                }
            }
        }
        assert_eq!((held.len(), refused.len()), (8, 8));
        for status in refused {
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        }
        let connection = connect(&honest).await;
        let path = b"one".to_vec();
        let list = connection.client().list(ListRequest { path }).await;
        let piece = list.unwrap().into_inner().message().await.unwrap().unwrap();
        assert_eq!(piece.entries.len(), 1);
    });
}

#[test]
fn a_list_that_is_not_read_ends_with_its_connection() {
    let served = served(Duration::from_millis(200));
    let greedy = remote(&served);
    block_on(async {
        let connection = connect(&greedy).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            // The first may be over before the last has begun.
            held.push(unread(&connection).await);
        }
        // It is the daemon that hangs up.
        while connection.ping().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // And the places are given back, though the client still holds what it asked for.
        let connection = connect(&greedy).await;
        while unread(&connection).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_call_without_a_token_is_refused_before_what_it_carries_is_there() {
    let served = served(Duration::from_secs(600));
    let mut stranger = stranger(&served);
    let path = b"/blit.v2.Blit/Purge";
    let mut header = vec![0x83, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    header.extend_from_slice(path);
    header.extend_from_slice(b"\x01\x04blit\x0f\x10\x10application/grpc\x00\x02te\x08trailers");
    // END_HEADERS, and a body that is announced and does not come.
    stranger.write_all(&frame(1, 4, 1, &header)).unwrap();
    let body = [&[0][..], &(4u32 << 20).to_be_bytes()].concat();
    stranger.write_all(&frame(0, 0, 1, &body)).unwrap();
    stranger.flush().unwrap();
    loop {
        let mut head = [0; 9];
        stranger.read_exact(&mut head).expect("an answer");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stranger.read_exact(&mut payload).unwrap();
        let ends = head[4] & 1 != 0;
        if head[3] == 1 {
            assert!(ends, "the call is over");
            return;
        }
    }
}

#[test]
fn little_is_read_of_who_has_not_shown_a_token() {
    let served = served(Duration::from_secs(600));
    let mut stranger = stranger(&served);
    let patience = Some(Duration::from_secs(3));
    stranger.sock.set_write_timeout(patience).unwrap();
    // Of a kind that nobody knows, and so has to pass over.
    let ignored = frame(0xee, 0, 0, &[0; 16 << 10]);
    let mut written = 0;
    while written < 64 << 20 && stranger.write_all(&ignored).is_ok() {
        written += ignored.len();
    }
    // What the kernels of both sides hold is more than what the daemon reads.
    assert!(written < 64 << 20, "everything was read");
    remote(&served).ping().unwrap();
}

#[test]
fn strangers_who_begin_a_handshake_and_go_no_further_keep_nobody_waiting() {
    let served = served(Duration::from_secs(600));
    // Of several addresses, so that none of them is pushed out for the others of its own.
    let begun = |address: u8| {
        let family = socket2::Domain::IPV4;
        let socket = socket2::Socket::new(family, socket2::Type::STREAM, None).unwrap();
        let from = SocketAddr::from(([127, 0, 0, address], 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&served.address().into()).unwrap();
        let mut socket = TcpStream::from(socket);
        // The first byte of a record of TLS.
        socket.write_all(&[0x16]).unwrap();
        socket
    };
    let addresses = (2..6).flat_map(|address| std::iter::repeat_n(address, 60));
    let crowd: Vec<_> = addresses.map(begun).collect();
    remote(&served).ping().unwrap();
    drop(crowd);
}

/// Connections from one address that say nothing, more than may wait.
fn silent_crowd(served: &Served) -> Vec<TcpStream> {
    let knock = |_| TcpStream::connect(served.address()).unwrap();
    (0..300).map(knock).collect()
}

#[test]
fn a_silent_crowd_does_not_push_out_a_handshake_under_way() {
    let served = served(Duration::from_secs(600));
    let config = client_config(&served.trust(), None).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut hello).unwrap();
    }
    let mut socket = TcpStream::connect(served.address()).unwrap();
    let (begun, rest) = hello.split_at(hello.len() / 2);
    socket.write_all(begun).unwrap();
    let crowd = silent_crowd(&served);
    socket.write_all(rest).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).unwrap();
    }
    drop(crowd);
}

#[test]
fn who_comes_in_the_middle_of_a_burst_from_its_own_address_is_served() {
    let served = served(Duration::from_secs(600));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(silent_crowd(&served));
                }
            });
        }
        let pings: Vec<_> = (0..10).map(|_| remote(&served).ping()).collect();
        over.store(true, Ordering::Relaxed);
        for ping in pings {
            ping.unwrap();
        }
    });
}

/// Hangs up on the first connections and passes the others on; counts them all.
fn hanging_up(to: SocketAddr, first: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            if counting.fetch_add(1, Ordering::SeqCst) < first {
                continue;
            }
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            let (mut from, mut back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (mut to, mut near) = (far, near);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut back, &mut near));
        }
    });
    (address, count)
}

#[test]
fn who_is_hung_up_on_in_the_handshake_connects_again_and_not_without_end() {
    let served = served(Duration::from_secs(600));
    let ping = |address: SocketAddr| {
        let remote = Remote {
            address: address.to_string(),
            ..remote(&served)
        };
        remote.ping().map(drop)
    };
    let (twice, count) = hanging_up(served.address(), 2);
    ping(twice).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let (always, count) = hanging_up(served.address(), usize::MAX);
    ping(always).unwrap_err();
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[test]
fn what_a_daemon_says_cannot_move_the_cursor() {
    let served = served(Duration::from_secs(600));
    let remote = remote(&served);
    let said = [
        remote.list(b"part", |_| true).unwrap_err(),
        remote.list(b"else", |_| true).unwrap_err(),
        remote.purge(vec![b"x".to_vec()], false).unwrap_err(),
    ];
    for error in said {
        let text = error.to_string();
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        assert!(text.contains(r"\u{1b}[2J\u{9b}1m\r\n"), "{text}");
    }
    // Entries come before the end of a list, which this one has not.
    let mut taken = 0;
    let ended = remote.list(b"", |_| {
        taken += 1;
        taken < 100_000
    });
    ended.unwrap();
    assert_eq!(taken, 100_000);
}

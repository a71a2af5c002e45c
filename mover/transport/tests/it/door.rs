//! What a daemon puts up with: from clients that ask and do not read, and from strangers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blit_engine::entry::Entry;
use blit_engine::fs::Dir;
use blit_engine::run::Purged;
use blit_proto::control::access::{Access, DaemonAccess};
use blit_proto::control::{Connection, connect_as};
use blit_proto::pki::daemon::{Pin, Trust, client_config, new_authority};
use blit_proto::pki::{Identity, PeerName};
use blit_proto::v2::{ListRequest, ListResponse};
use blit_transport::auth::bearer::TokenKey;
use blit_transport::auth::grant::{Grant, Scopes};
use blit_transport::client::Remote;
use blit_transport::daemon::{Daemon, DaemonConfig, Given, Handler, Pushed, Refusal};
use blit_transport::path::RelPath;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tonic::{Code, Status, Streaming};

use crate::fake::block_on;

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

/// A daemon, and how to get in.
struct Served {
    daemon: Daemon,
    identity: Identity,
    key: TokenKey,
}

impl Served {
    fn new(unread_deadline: Duration) -> Self {
        let (authority, _) = new_authority(SystemTime::now()).unwrap();
        let identity = authority.issue(&PeerName::daemon("test").unwrap()).unwrap();
        let key = TokenKey::random().unwrap();
        let daemon = Daemon::bind(DaemonConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_port: 0,
            identity: identity.clone(),
            token_key: key.clone(),
            read_only: false,
            progress_deadline: Duration::from_secs(600),
            unread_deadline,
            handler: Arc::new(Endless::new()),
        })
        .unwrap();
        Self {
            daemon,
            identity,
            key,
        }
    }

    fn address(&self) -> SocketAddr {
        self.daemon.addresses().control
    }

    fn trust(&self) -> Trust {
        Trust::Pin(Pin::of_pem(self.identity.ca_pem()).unwrap())
    }

    /// Returns the daemon for who holds a new token.
    fn remote(&self) -> Remote {
        let grant = Grant {
            scopes: Scopes::all(),
            prefix: RelPath::default(),
        };
        let (hour, pin) = (
            Duration::from_secs(3600),
            Pin::of_pem(self.identity.ca_pem()).unwrap(),
        );
        Remote {
            address: self.address().to_string(),
            access: DaemonAccess {
                trust: self.trust(),
                certificate: None,
                token: Some(
                    self.key
                        .issue(&grant, hour, pin, SystemTime::now())
                        .unwrap(),
                ),
            },
        }
    }

    /// Opens a TLS connection of somebody without a token, on which everything can be written.
    fn stranger(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let config = client_config(&self.trust(), None).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let socket = TcpStream::connect(self.address()).unwrap();
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
}

/// Returns a frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
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
    let served = Served::new(Duration::from_secs(600));
    let (greedy, honest) = (served.remote(), served.remote());
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
    let served = Served::new(Duration::from_millis(200));
    let greedy = served.remote();
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
    let served = Served::new(Duration::from_secs(600));
    let mut stranger = served.stranger();
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
    let served = Served::new(Duration::from_secs(600));
    let mut stranger = served.stranger();
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
    served.remote().ping().unwrap();
}

#[test]
fn strangers_who_begin_a_handshake_and_go_no_further_keep_nobody_waiting() {
    let served = Served::new(Duration::from_secs(600));
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
    served.remote().ping().unwrap();
    drop(crowd);
}

#[test]
fn what_a_daemon_says_cannot_move_the_cursor() {
    let served = Served::new(Duration::from_secs(600));
    let remote = served.remote();
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

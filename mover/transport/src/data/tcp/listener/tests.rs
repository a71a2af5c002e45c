use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use super::{DataListener, Desk};
use crate::auth::Direction;
use crate::auth::first_frame::{ANSWER_BYTES, FRAME_BYTES};
use crate::auth::pending::{DEADLINE, MOST_PER_ADDRESS};
use crate::auth::token::{Ticket, TokenBook};
use crate::data::DataPlane;
use crate::data::newcomer::Newcomer;
use crate::data::tcp::TcpPlane;

struct Door {
    address: SocketAddr,
    session: Session,
    listener: Option<DataListener>,
}

/// A session that expects sockets.
struct Session {
    tokens: Arc<TokenBook>,
    streams: mpsc::Receiver<(u32, TcpStream)>,
    desk: Desk,
}

fn door() -> Door {
    let listener = DataListener::start(TcpListener::bind("127.0.0.1:0").unwrap(), None).unwrap();
    Door {
        address: listener.address(),
        session: session(&listener, "session"),
        listener: Some(listener),
    }
}

fn session(listener: &DataListener, name: &str) -> Session {
    let tokens = Arc::new(TokenBook::new(name, Direction::Push, b"certificate").unwrap());
    let (sender, streams) = mpsc::channel();
    let on_stream = Arc::new(move |stream, newcomer| {
        let Newcomer::Tcp(socket) = newcomer else {
            panic!("a socket came in by another door")
        };
        sender.send((stream, socket)).unwrap();
    });
    let desk = listener.desks().open(Arc::clone(&tokens), on_stream);
    Session {
        tokens,
        streams,
        desk,
    }
}

impl Session {
    fn ticket(&self, stream: u32) -> Ticket {
        Ticket::new(&self.tokens.mint(stream, SystemTime::now()).unwrap()).unwrap()
    }
}

impl Door {
    fn ticket(&self, stream: u32) -> Ticket {
        self.session.ticket(stream)
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
    }

    /// Sends bytes; returns what comes back before the socket is closed or an answer is complete.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut socket = self.connect();
        // The other end may close in the middle.
        let _ = socket.write_all(bytes);
        answer(&mut socket)
    }
}

fn answer(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = vec![0; ANSWER_BYTES];
    match socket.read_exact(&mut answer) {
        Ok(()) => answer,
        Err(error) => {
            let closed = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
            assert!(closed.contains(&error.kind()), "{error}");
            Vec::new()
        }
    }
}

#[test]
fn a_token_opens_one_socket_and_a_replay_gets_no_answer() {
    let door = door();
    let ticket = door.ticket(3);
    let got = door.send(&ticket.frame);
    assert!(ticket.accepts(&got.try_into().unwrap()));
    assert_eq!(door.session.streams.recv().unwrap().0, 3);
    assert_eq!(door.send(&ticket.frame), b"");
    assert!(door.session.streams.try_recv().is_err());
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    let door = door();
    let ticket = door.ticket(0);
    let mut socket = door.connect();
    socket.set_nodelay(true).unwrap();
    for byte in &ticket.frame {
        socket.write_all(&[*byte]).unwrap();
    }
    assert!(ticket.accepts(&answer(&mut socket).try_into().unwrap()));
}

#[test]
fn strangers_get_no_answer() {
    let door = door();
    assert_eq!(door.send(&[0; FRAME_BYTES]), b"");
    assert_eq!(
        door.send(b"GET / HTTP/1.1\r\n\r\n".repeat(100).as_slice()),
        b""
    );
    let mut altered = door.ticket(0).frame;
    altered[300] ^= 1;
    assert_eq!(door.send(&altered), b"");
    // And the right one still gets in.
    let ticket = door.ticket(1);
    assert!(ticket.accepts(&door.send(&ticket.frame).try_into().unwrap()));
}

#[test]
fn a_socket_that_says_nothing_is_closed_after_five_seconds() {
    let door = door();
    let mut silent = door.connect();
    let mut half = door.connect();
    half.write_all(&door.ticket(0).frame[..500]).unwrap();
    let start = Instant::now();
    assert_eq!(answer(&mut silent), b"");
    assert_eq!(answer(&mut half), b"");
    let waited = start.elapsed();
    assert!(
        waited >= DEADLINE - Duration::from_millis(500),
        "{waited:?}"
    );
    assert!(waited < DEADLINE * 2, "{waited:?}");
}

#[test]
fn with_too_many_silent_sockets_the_oldest_is_closed_and_the_right_one_gets_in() {
    let door = door();
    let mut silent: Vec<TcpStream> = (0..=MOST_PER_ADDRESS).map(|_| door.connect()).collect();
    assert_eq!(answer(&mut silent[0]), b"");
    let ticket = door.ticket(0);
    assert!(ticket.accepts(&door.send(&ticket.frame).try_into().unwrap()));
}

#[test]
fn a_silent_crowd_does_not_push_out_a_socket_that_has_begun_to_speak() {
    let door = door();
    let ticket = door.ticket(0);
    let mut socket = door.connect();
    let (begun, rest) = ticket.frame.split_at(100);
    socket.write_all(begun).unwrap();
    let crowd: Vec<TcpStream> = (0..5 * MOST_PER_ADDRESS).map(|_| door.connect()).collect();
    socket.write_all(rest).unwrap();
    assert!(ticket.accepts(&answer(&mut socket).try_into().unwrap()));
    drop(crowd);
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
            std::thread::spawn(move || io::copy(&mut from, &mut to));
            std::thread::spawn(move || io::copy(&mut back, &mut near));
        }
    });
    (address, count)
}

#[test]
fn who_is_hung_up_on_before_the_answer_dials_again_and_not_without_end() {
    let door = door();
    let plane = |address| TcpPlane {
        address,
        longest_wait: Duration::from_secs(20),
        tls: None,
    };
    let token = |stream| door.session.tokens.mint(stream, SystemTime::now()).unwrap();
    let (twice, count) = hanging_up(door.address, 2);
    assert!(plane(twice).open(&token(7)).is_ok());
    assert_eq!(door.session.streams.recv().unwrap().0, 7);
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let (always, count) = hanging_up(door.address, usize::MAX);
    assert!(plane(always).open(&token(8)).is_err());
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[test]
fn the_listener_ends_when_it_is_dropped_and_closes_who_waits() {
    let mut door = door();
    let mut silent = door.connect();
    silent.write_all(b"x").unwrap();
    door.listener = None;
    assert_eq!(answer(&mut silent), b"");
    assert!(TcpStream::connect(door.address).is_err());
}

#[test]
fn one_port_serves_many_sessions_and_each_gets_its_own_sockets() {
    let door = door();
    let other = session(door.listener.as_ref().unwrap(), "other");
    let (mine, theirs) = (door.ticket(1), other.ticket(2));
    assert!(theirs.accepts(&door.send(&theirs.frame).try_into().unwrap()));
    assert!(mine.accepts(&door.send(&mine.frame).try_into().unwrap()));
    assert_eq!(other.streams.recv().unwrap().0, 2);
    assert_eq!(door.session.streams.recv().unwrap().0, 1);
    assert!(other.streams.try_recv().is_err());
}

#[test]
fn a_token_that_names_a_session_of_somebody_else_is_refused() {
    let door = door();
    // Made by a book of the same name with a key of its own, as a stranger would.
    let forged = TokenBook::new("session", Direction::Push, b"certificate").unwrap();
    let forged = Ticket::new(&forged.mint(0, SystemTime::now()).unwrap()).unwrap();
    assert_eq!(door.send(&forged.frame), b"");
    assert!(door.session.streams.try_recv().is_err());
}

#[test]
fn a_session_that_is_over_takes_no_socket_and_the_others_go_on() {
    let door = door();
    let other = session(door.listener.as_ref().unwrap(), "other");
    let late = other.ticket(0);
    drop(other.desk);
    assert_eq!(door.send(&late.frame), b"");
    assert!(other.streams.try_recv().is_err());
    let ticket = door.ticket(0);
    assert!(ticket.accepts(&door.send(&ticket.frame).try_into().unwrap()));
}

#[test]
fn a_socket_that_says_nothing_is_closed_when_there_is_no_session_too() {
    let listener = DataListener::start(TcpListener::bind("127.0.0.1:0").unwrap(), None).unwrap();
    let mut silent = TcpStream::connect(listener.address()).unwrap();
    silent.set_read_timeout(Some(DEADLINE * 2)).unwrap();
    assert_eq!(answer(&mut silent), b"");
}

//! Whoever speaks TLS, kernel or process, the other end gets the same. Where the kernel cannot, these tests show the way through the
//! process; in the machine of e2e/vm they run with a kernel that can.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blit_proto::pki::{Authority, PeerName, PeerPattern, Role, tls};
use rustls::{ClientConfig, Connection, ServerConfig, ServerConnection};

use super::crypto::Cipher;
use super::probe::allowed;
use super::{KernelFrames, KernelSink, Refusal, probe};
use crate::data::tls::boundary::Boundary;
use crate::data::tls::{Settled, TlsSocket};
use crate::data::{FrameSink, FrameStream};

const JOB: &str = "6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e";

/// Who may speak TLS on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Process,
    KernelIfItCan,
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let authority = Authority::new("test", SystemTime::now()).unwrap();
    let name = |role| PeerName::mover(JOB, 1, role).unwrap();
    let identity = |role| authority.issue(&name(role)).unwrap();
    let exactly = |role| PeerPattern::Exactly(name(role));
    let (near, far) = (Role::Destination, Role::Source);
    let server = tls::server_config(&identity(near), vec![exactly(far)]);
    let client = tls::client_config(&identity(far), exactly(near));
    (server.unwrap(), client.unwrap())
}

/// Two ends of a connection that have said a word each. After its word the one that listens says what is `told`, at once.
fn pair(told: &'static [u8]) -> (TlsSocket, TlsSocket) {
    let (server, client) = configs();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listening = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        patient(&socket);
        let connection = Connection::from(ServerConnection::new(server).unwrap());
        let mut socket = TlsSocket::new(connection, Boundary::default(), socket);
        let mut word = [0; 5];
        assert!(socket.read(&mut word).unwrap());
        assert_eq!(&word, b"hello");
        socket.write(&[b"world", told].concat()).unwrap();
        socket
    });
    let socket = TcpStream::connect(address).unwrap();
    patient(&socket);
    let mut dialling = TlsSocket::dial(client, socket).unwrap();
    dialling.write(b"hello").unwrap();
    let mut word = [0; 5];
    assert!(dialling.read(&mut word).unwrap());
    assert_eq!(&word, b"world");
    (listening.join().unwrap(), dialling)
}

fn patient(socket: &TcpStream) {
    let patience = Some(Duration::from_secs(60));
    socket.set_read_timeout(patience).unwrap();
    socket.set_write_timeout(patience).unwrap();
}

fn settle(socket: TlsSocket, who: Who) -> Settled {
    match who {
        Who::Process => Settled::Process(Box::new(socket)),
        Who::KernelIfItCan => socket.settle().unwrap(),
    }
}

fn sink(socket: TlsSocket, who: Who) -> Box<dyn FrameSink> {
    match settle(socket, who) {
        Settled::Kernel(socket) => Box::new(KernelSink::new(*socket)),
        Settled::Process(socket) => socket,
    }
}

fn frames(socket: TlsSocket, who: Who) -> Box<dyn FrameStream> {
    match settle(socket, who) {
        Settled::Kernel(socket) => Box::new(KernelFrames::new(*socket)),
        Settled::Process(socket) => socket,
    }
}

/// All ways in which two ends can be made.
fn ways() -> impl Iterator<Item = (Who, Who)> {
    let each = [Who::Process, Who::KernelIfItCan];
    each.into_iter()
        .flat_map(move |one| each.map(|other| (one, other)))
}

fn content() -> Vec<u8> {
    (0..3_000_000_u32).map(|i| (i % 251) as u8).collect()
}

fn file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

#[test]
fn the_kernel_speaks_tls_exactly_where_the_probe_says_so() {
    let probed = probe();
    let (listening, dialling) = pair(b"");
    // Both are kept: of a connection that the other end has left nothing is handed over.
    let settled = [listening, dialling].map(|socket| socket.settle().unwrap());
    for settled in &settled {
        let by_kernel = matches!(settled, Settled::Kernel(_));
        let allowed = allowed(Cipher::Aes256Gcm);
        assert_eq!(by_kernel, probed.is_ok(), "{probed:?}, {allowed:?}");
    }
    // What the kernel of this machine has says who knows nothing of us.
    let offered = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap();
    let offers = offered.split_whitespace().any(|name| name == "tls");
    match probed {
        Ok(()) => assert!(offers, "{offered}"),
        Err(reason) => assert_eq!(reason == Refusal::NoModule, !offers, "{reason}: {offered}"),
    }
}

#[test]
fn whoever_speaks_tls_what_is_sent_arrives_and_the_end_is_a_good_bye() {
    for (sender, receiver) in ways() {
        for pushes in [true, false] {
            let (listening, dialling) = pair(b"");
            let (from, to) = match pushes {
                true => (dialling, listening),
                false => (listening, dialling),
            };
            let mut to = frames(to, receiver);
            let sending = std::thread::spawn(move || {
                let (mut from, file) = (sink(from, sender), file(&content()));
                let by_kernel = sender == Who::KernelIfItCan && probe().is_ok();
                from.send(b"head", true).unwrap();
                let sent = from.send_file(file.as_fd(), 1000, 2_000_000).unwrap();
                let without_copy = if by_kernel { 2_000_000 } else { 0 };
                assert_eq!((sent.zero_copy, sent.problem), (without_copy, None));
                // More than the file has.
                let sent = from.send_file(file.as_fd(), 2_999_999, 50_000).unwrap();
                assert!(sent.problem.is_some());
                from.send(b"tail", false).unwrap();
                from.finish().unwrap();
                assert!(!from.is_spent());
            });
            let mut expected = [b"head".to_vec(), content()[1000..2_001_000].to_vec()].concat();
            expected.push(content()[2_999_999]);
            expected.resize(expected.len() + 49_999, 0);
            expected.extend(b"tail");
            let mut got = vec![0; expected.len()];
            // In parts of all sizes, as frames are.
            let (mut at, mut part) = (0, 1);
            while at < got.len() {
                let end = (at + part).min(got.len());
                let received = to.receive(&mut got[at..end]);
                let whose = format!(
                    "{sender:?} to {receiver:?}, pushed {pushes}, {at} of {}",
                    expected.len()
                );
                assert!(received.unwrap_or_else(|error| panic!("{whose}: {error}")));
                (at, part) = (end, part % 300_000 * 3 + 1);
            }
            assert!(got == expected, "{sender:?} to {receiver:?}");
            sending.join().unwrap();
            assert!(!to.receive(&mut [0; 16]).unwrap());
            assert!(!to.receive(&mut [0; 16]).unwrap());
        }
    }
}

#[test]
fn a_stream_that_ends_without_a_good_bye_broke_whoever_speaks_tls() {
    for (sender, receiver) in ways() {
        let (listening, dialling) = pair(b"");
        let (mut from, mut to) = (sink(dialling, sender), frames(listening, receiver));
        from.send(b"frame", false).unwrap();
        drop(from);
        let mut got = [0; 5];
        assert!(to.receive(&mut got).unwrap());
        to.receive(&mut got).unwrap_err();
    }
}

#[test]
fn a_good_bye_in_the_middle_of_a_frame_is_an_error() {
    for (sender, receiver) in ways() {
        let (listening, dialling) = pair(b"");
        let (mut from, mut to) = (sink(dialling, sender), frames(listening, receiver));
        from.send(b"fra", false).unwrap();
        from.finish().unwrap();
        to.receive(&mut [0; 5]).unwrap_err();
    }
}

#[test]
fn what_is_sent_right_behind_the_word_that_was_waited_for_is_not_lost() {
    for (sender, receiver) in ways() {
        // In records of their own, which may have come before the keys went over.
        let (listening, dialling) = pair(b"");
        let mut from = sink(listening, sender);
        from.send(b"first", false).unwrap();
        from.send(b"second", false).unwrap();
        let mut to = frames(dialling, receiver);
        let mut got = [0; 11];
        assert!(to.receive(&mut got).unwrap());
        assert_eq!(&got, b"firstsecond");
        from.send(b"third", false).unwrap();
        assert!(to.receive(&mut got[..5]).unwrap());
        assert_eq!(&got[..5], b"third");
    }
}

#[test]
fn a_connection_with_something_left_in_it_stays_where_it_is() {
    // In the record of the word, so that it is in the buffers of this process.
    let (_listening, dialling) = pair(b"more");
    let settled = dialling.settle().unwrap();
    let Settled::Process(mut socket) = settled else {
        panic!("what was left is lost");
    };
    let mut got = [0; 4];
    assert!(socket.receive(&mut got).unwrap());
    assert_eq!(&got, b"more");
}

#[test]
fn a_good_bye_and_a_closed_connection_are_told_apart_from_an_alert() {
    let (listening, dialling) = pair(b"");
    let mut to = frames(listening, Who::KernelIfItCan);
    // Not TLS at all.
    let mut below = dialling.socket();
    below.write_all(&[23, 3, 3, 0, 32]).unwrap();
    below.write_all(&[0; 32]).unwrap();
    to.receive(&mut [0; 5]).unwrap_err();
}

#[test]
fn a_peer_that_asks_for_new_keys_gets_its_stream_broken_by_the_kernel_and_served_by_the_process() {
    let (listening, mut dialling) = pair(b"");
    let settled = settle(listening, Who::KernelIfItCan);
    let by_kernel = matches!(settled, Settled::Kernel(_));
    let mut to: Box<dyn FrameStream> = match settled {
        Settled::Kernel(socket) => Box::new(KernelFrames::new(*socket)),
        Settled::Process(socket) => socket,
    };
    dialling.renew_keys().unwrap();
    dialling.write(b"after").unwrap();
    let mut got = [0; 5];
    match by_kernel {
        true => {
            let error = to.receive(&mut got).unwrap_err();
            assert!(error.to_string().contains("new keys"), "{error}");
        }
        false => assert!(to.receive(&mut got).unwrap()),
    }
}

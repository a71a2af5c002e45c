use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use blit_engine::run::ReadStatus;

use super::{FrameSink, TcpSink};

/// A sink, and a thread that reads all that goes through it.
fn sink() -> (TcpSink, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = TcpSink::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (mut socket, _) = listener.accept().unwrap();
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        bytes
    });
    (sink, reading)
}

fn file(content: &[u8]) -> (tempfile::TempDir, File) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), content).unwrap();
    let file = File::open(dir.path().join("f")).unwrap();
    (dir, file)
}

fn content() -> Vec<u8> {
    (0..3_000_000u32).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_range_of_a_file_goes_without_a_copy() {
    let (mut sink, reading) = sink();
    let (_dir, file) = file(&content());
    sink.send(b"head", true).unwrap();
    let sent = sink.send_file(file.as_fd(), 1000, 2_000_000).unwrap();
    assert_eq!((sent.zero_copy, sent.problem), (2_000_000, None));
    drop(sink);
    let got = reading.join().unwrap();
    assert_eq!(&got[..4], b"head");
    assert!(got[4..] == content()[1000..2_001_000]);
}

#[test]
fn a_file_that_shrank_is_padded_with_zeros_and_reported() {
    let (mut sink, reading) = sink();
    let (_dir, file) = file(b"short");
    let sent = sink.send_file(file.as_fd(), 0, 1_000_000).unwrap();
    assert_eq!(
        (sent.zero_copy, sent.problem),
        (5, Some(ReadStatus::Changed))
    );
    sink.send(b"next", false).unwrap();
    drop(sink);
    let got = reading.join().unwrap();
    assert_eq!(got.len(), 1_000_004);
    assert_eq!(
        (&got[..5], &got[1_000_000..]),
        (&b"short"[..], &b"next"[..])
    );
    assert!(got[5..1_000_000].iter().all(|byte| *byte == 0));
}

#[test]
fn where_sendfile_does_not_work_the_bytes_are_copied() {
    let (mut sink, reading) = sink();
    let (_dir, file) = file(&content());
    let (copied, problem) = sink.copy(file.as_fd(), 10, 2_999_990).unwrap();
    assert_eq!((copied, problem), (2_999_990, None));
    let (copied, problem) = sink.copy(file.as_fd(), 2_999_999, 100).unwrap();
    assert_eq!((copied, problem), (1, Some(ReadStatus::Changed)));
    drop(sink);
    assert!(reading.join().unwrap()[..2_999_990] == content()[10..]);
}

#[test]
fn a_file_that_cannot_be_read_does_not_break_the_stream() {
    let (mut sink, reading) = sink();
    let dir = tempfile::tempdir().unwrap();
    // A directory opens, but nothing can be read from it.
    let unreadable = File::open(dir.path()).unwrap();
    let sent = sink.send_file(unreadable.as_fd(), 0, 1000).unwrap();
    assert!(
        matches!(sent.problem, Some(ReadStatus::Failed(_))),
        "{sent:?}"
    );
    assert_eq!(sent.zero_copy, 0);
    drop(sink);
    assert_eq!(reading.join().unwrap(), vec![0; 1000]);
}

#[test]
fn a_closed_connection_is_an_error_of_the_stream() {
    let (mut sink, reading) = sink();
    let (_dir, file) = file(&content());
    sink.closer().close();
    assert!(sink.send_file(file.as_fd(), 0, 1_000_000).is_err());
    assert!(sink.send(b"x", false).is_err());
    drop(sink);
    reading.join().unwrap();
}

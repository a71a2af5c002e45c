use std::os::fd::AsFd;

use blit_engine::run::ReadStatus;

use super::*;

/// Runs a sink and returns what came out of it, by message.
fn messages(work: impl FnOnce(&mut GrpcSink<DataBytes>) + Send) -> Vec<Vec<u8>> {
    let (sender, mut receiver) = mpsc::channel(2);
    let mut sink = GrpcSink::new(sender, Closer::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            work(&mut sink);
            sink.finish().unwrap();
        });
        std::iter::from_fn(|| receiver.blocking_recv())
            .map(|message| message.bytes.to_vec())
            .collect()
    })
}

#[test]
fn bytes_arrive_in_order_in_messages_of_limited_size() {
    let content: Vec<u8> = (0..MESSAGE * 2 + 9).map(|i| (i % 251) as u8).collect();
    let sent = content.clone();
    let messages = messages(move |sink| {
        sink.send(b"head", true).unwrap();
        sink.send(&sent, false).unwrap();
    });
    assert!(messages.iter().all(|message| message.len() <= MESSAGE));
    assert_eq!(messages.concat(), [b"head", &content[..]].concat());
}

#[test]
fn what_waits_leaves_when_nothing_follows() {
    let messages = messages(|sink| {
        sink.send(b"one", true).unwrap();
        sink.send(b"two", false).unwrap();
        sink.send(b"three", false).unwrap();
    });
    assert_eq!(messages, [&b"onetwo"[..], b"three"]);
}

#[test]
fn a_file_that_is_too_short_is_padded_and_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 1000]).unwrap();
    let opened = std::fs::File::open(file.path()).unwrap();
    let messages = messages(move |sink| {
        let sent = sink.send_file(opened.as_fd(), 400, 500).unwrap();
        assert_eq!((sent.zero_copy, sent.problem), (0, None));
        let sent = sink.send_file(opened.as_fd(), 900, 600_000).unwrap();
        assert_eq!(sent.problem, Some(ReadStatus::Changed));
    });
    let all = messages.concat();
    assert_eq!(all.len(), 600_500);
    assert!(all[..600].iter().all(|byte| *byte == 7));
    assert!(all[600..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_sink_whose_other_end_is_gone_says_so() {
    let (sender, receiver) = mpsc::channel(2);
    let mut sink = GrpcSink::new(sender, Closer::default());
    drop(receiver);
    let error = sink.send(b"x", false).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

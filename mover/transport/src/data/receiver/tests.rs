use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use blit_engine::entry::DirId;
use blit_engine::run::{Arrivals, ReadStatus, Want};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{FrameStream, ReceiveError, Receiver};
use crate::data::Close;
use crate::data::window::Window;
use crate::wire::files::{encode_end, encode_result, record_head};
use crate::wire::frame::{HEADER_BYTES, Header};

/// Bytes in memory as a stream.
struct Bytes(io::Cursor<Vec<u8>>);

impl FrameStream for Bytes {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let left = self.0.get_ref().len() as u64 - self.0.position();
        if left == 0 {
            return Ok(false);
        }
        io::Read::read_exact(&mut self.0, buffer).map(|()| true)
    }

    fn closer(&self) -> Arc<dyn Close> {
        unreachable!("nobody closes bytes in memory")
    }
}

/// Receives bytes while wants 1 to 3, and the hash 4, are under way; returns how it ended and the content bytes.
fn receive(bytes: Vec<u8>) -> (Result<(), ReceiveError>, u64) {
    let window = Arc::new(Window::default());
    let want = |id| Want {
        id,
        dir: DirId::ROOT,
        part: 0,
        index: 0,
        size: 100,
        hash: id == 4,
    };
    window.admit(&[want(1), want(2), want(3), want(4)]).unwrap();
    let receiver = Receiver {
        stream: Box::new(Bytes(io::Cursor::new(bytes))),
        window,
        arrivals: Arrivals::new(),
        received: Arc::default(),
        proof: None,
        reached: Arc::default(),
    };
    let received = Arc::clone(&receiver.received);
    (receiver.run(), received.bytes.load(Ordering::Relaxed))
}

fn record(id: u64, content: &[u8]) -> Vec<u8> {
    let result = encode_result(&ReadStatus::Stable, None);
    [&record_head(id, content.len() as u32)[..], content, &result].concat()
}

fn files(count: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let payload = records.concat();
    [
        &Header::Files {
            count,
            length: payload.len() as u32,
        }
        .encode()[..],
        &payload,
    ]
    .concat()
}

fn chunk(id: u64, offset: u64, content: &[u8]) -> Vec<u8> {
    let header = Header::Chunk {
        id,
        offset,
        length: content.len() as u32,
    };
    [&header.encode()[..], content].concat()
}

fn end(id: u64, bytes: u64) -> Vec<u8> {
    let payload = encode_end(bytes, bytes, &encode_result(&ReadStatus::Stable, None));
    [
        &Header::End {
            id,
            length: payload.len() as u32,
        }
        .encode()[..],
        &payload,
    ]
    .concat()
}

fn good() -> Vec<u8> {
    [
        files(2, &[record(1, b"abc"), record(2, b"")]),
        chunk(3, 0, &[7; 700_000]),
        end(3, 700_000),
    ]
    .concat()
}

#[test]
fn frames_are_taken_in_any_order_until_the_stream_ends() {
    let (ended, bytes) = receive(good());
    ended.unwrap();
    assert_eq!(bytes, 700_003);
}

#[test]
fn a_stream_that_ends_in_a_frame_is_an_error_wherever_it_ends() {
    let good = good();
    let boundaries: Vec<usize> = vec![
        0,
        files(2, &[record(1, b"abc"), record(2, b"")]).len(),
        good.len() - end(3, 700_000).len(),
        good.len(),
    ];
    for at in (0..200).chain(good.len() - 100..=good.len()) {
        let (ended, _) = receive(good[..at].to_vec());
        assert_eq!(ended.is_ok(), boundaries.contains(&at), "{at}: {ended:?}");
    }
}

#[test]
fn files_that_nobody_asked_for_end_the_stream() {
    for bytes in [files(1, &[record(9, b"x")]), chunk(9, 0, b"x"), end(9, 0)] {
        assert!(matches!(receive(bytes).0, Err(ReceiveError::Protocol(_))));
    }
}

#[test]
fn a_count_that_does_not_agree_ends_the_stream() {
    let one_too_many = files(2, &[record(1, b"abcdefghijklmnopqrstuvwxyz")]);
    let one_too_few = files(1, &[record(1, b"a"), record(2, b"b")]);
    for bytes in [one_too_many, one_too_few] {
        assert!(matches!(receive(bytes).0, Err(ReceiveError::Protocol(_))));
    }
}

#[test]
fn more_pieces_than_the_end_says_end_the_stream() {
    let bytes = [chunk(3, 0, b"abc"), chunk(3, 0, b"abc"), end(3, 3)].concat();
    assert!(matches!(receive(bytes).0, Err(ReceiveError::Protocol(_))));
}

proptest! {
    #[test]
    fn random_frames_never_panic(
        frames in vec((any::<[u8; HEADER_BYTES]>(), 1..=3u8, vec(any::<u8>(), 0..64)), 1..5),
    ) {
        let frames = frames.into_iter().flat_map(|(mut header, kind, payload)| {
            // Reach behind the check of the header: a type, short lengths, known ids.
            header[..7].copy_from_slice(&[kind, 0, 0, 0, 0, 0, 0]);
            header[8..15].copy_from_slice(&[0; 7]);
            header[15] %= 5;
            header[16..18].copy_from_slice(&[0; 2]);
            [header.to_vec(), payload].concat()
        });
        let _ = receive(frames.collect());
    }
}

/// What is received when this answers want 4, of which the hash is wanted.
fn answer(content: &[u8], status: &ReadStatus) -> (Result<(), ReceiveError>, u64) {
    let result = encode_result(status, None);
    let record = [&record_head(4, content.len() as u32)[..], content, &result].concat();
    receive(files(1, &[record]))
}

#[test]
fn a_hash_is_taken_and_is_no_content() {
    let (ended, bytes) = answer(&[7; 32], &ReadStatus::Stable);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(bytes, 0);
    let (ended, _) = answer(&[], &ReadStatus::Vanished);
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn what_is_no_hash_is_refused_where_one_was_wanted() {
    for (content, status) in [
        (&[7; 31][..], ReadStatus::Stable),
        (&[7; 33], ReadStatus::Stable),
        (&[], ReadStatus::Stable),
        (&[7; 32], ReadStatus::Changed),
    ] {
        let (ended, _) = answer(content, &status);
        assert!(
            matches!(ended, Err(ReceiveError::Protocol(_))),
            "{content:?} {status:?}"
        );
    }
    // Nor does it come in pieces, or twice.
    let piece = Header::Chunk {
        id: 4,
        offset: 0,
        length: 4,
    };
    let (ended, bytes) = receive([&piece.encode()[..], b"1234"].concat());
    assert!(matches!(ended, Err(ReceiveError::Protocol(_))));
    assert_eq!(bytes, 0);
    let end = encode_end(0, 0, &encode_result(&ReadStatus::Stable, None));
    let header = Header::End {
        id: 4,
        length: end.len() as u32,
    };
    let (ended, _) = receive([&header.encode()[..], &end].concat());
    assert!(matches!(ended, Err(ReceiveError::Protocol(_))));
    let twice = [record(4, &[7; 32]), record(4, &[7; 32])];
    let (ended, _) = receive(files(2, &twice));
    assert!(matches!(ended, Err(ReceiveError::Protocol(_))));
}

use std::sync::atomic::Ordering;

use blit_engine::run::ReadStatus;

use super::*;
use crate::data::journal::Carried;
use crate::data::queue::Preference::{Large, Small};
use crate::data::queue::{Batch, BlockAnswer};

struct Nothing;

impl Close for Nothing {
    fn close(&self) {}
}

fn streams(count: u32) -> (Streams, Vec<Arc<Journal>>) {
    let mut streams = Streams::default();
    streams.recover();
    let add = |number| streams.add(number, PlaneKind::Tcp, Arc::new(Nothing));
    let journals = (0..count).map(add).map(Option::unwrap).collect();
    (streams, journals)
}

#[test]
fn who_takes_content_and_never_says_so_is_left() {
    let (mut streams, journals) = streams(2);
    let note = |journal: &Journal| {
        let answer = BlockAnswer {
            id: 1,
            hashes: Vec::new(),
            status: ReadStatus::Stable,
        };
        journal.note(Carried::Files(Batch {
            blocks: vec![answer],
            ..Batch::default()
        }));
    };
    for journal in &journals {
        for _ in 0..UNCONFIRMED / 2 {
            note(journal);
        }
    }
    streams.check_confirmed().unwrap();
    note(&journals[1]);
    streams.check_confirmed().unwrap_err();
    let state = StreamState {
        stream: 1,
        frames: 1000,
        ..StreamState::default()
    };
    streams.state(&state, &Queue::new(false)).unwrap();
    streams.check_confirmed().unwrap();
}

#[test]
fn a_stream_that_broke_here_is_told_of_until_the_other_side_says_how_far_it_got() {
    let (mut streams, _journals) = streams(2);
    let queue = Queue::new(false);
    assert!(streams.lost().is_empty());
    let broken = Err(io::ErrorKind::ConnectionReset.into());
    assert!(streams.ended(1, &broken, &queue).unwrap());
    assert_eq!(streams.lost(), [1]);
    let state = StreamState {
        stream: 1,
        over: true,
        ..StreamState::default()
    };
    streams.state(&state, &queue).unwrap();
    assert!(streams.lost().is_empty());
}

#[test]
fn a_stream_that_is_to_be_left_takes_no_more_work_and_is_not_lost_when_it_has_ended() {
    let (mut streams, journals) = streams(3);
    let queue = Queue::new(false);
    let leave = StreamState {
        stream: 2,
        leave: true,
        ..StreamState::default()
    };
    // It is said again until it is over.
    for _ in 0..2 {
        streams.state(&leave, &queue).unwrap();
    }
    let left = |number: usize| journals[number].left().load(Ordering::Relaxed);
    assert!(left(2) && !left(0) && !left(1));
    assert_eq!(streams.count(PlaneKind::Tcp).open, 2);
    assert!(!streams.ended(2, &Ok(()), &queue).unwrap());
    assert!(streams.lost().is_empty(), "its bytes may be on their way");
    let over = StreamState {
        over: true,
        ..leave
    };
    streams.state(&over, &queue).unwrap();
    assert_eq!(streams.streams.len(), 2);
}

#[test]
fn of_the_streams_that_are_left_half_prefer_each_kind_of_work() {
    let (mut streams, journals) = streams(6);
    let queue = Queue::new(false);
    let preferences = |numbers: &[usize]| -> Vec<_> {
        let journals = numbers.iter().map(|number| &journals[*number]);
        journals.map(|journal| journal.preference()).collect()
    };
    assert_eq!(preferences(&[0, 1, 2, 3]), [Small, Large, Small, Large]);
    // Every second one breaks.
    let broken = Err(io::ErrorKind::ConnectionReset.into());
    streams.ended(1, &broken, &queue).unwrap();
    streams.ended(3, &broken, &queue).unwrap();
    assert_eq!(preferences(&[0, 2, 4, 5]), [Small, Large, Small, Large]);
    // One is over for the other side, and another is to be left.
    for (stream, over) in [(2, true), (4, false)] {
        let state = StreamState {
            stream,
            over,
            leave: !over,
            ..StreamState::default()
        };
        streams.state(&state, &queue).unwrap();
    }
    assert_eq!(preferences(&[0, 5]), [Small, Large]);
    streams.keep(PlaneKind::Tcp, 1, &queue);
    assert_eq!(preferences(&[0]), [Small]);
}

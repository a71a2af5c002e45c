use std::sync::Arc;

use blit_engine::entry::DirId;
use blit_engine::run::{ReadStatus, SourceError, Tail, Want};

use super::{BYTES, LEAST, Window};

fn want(id: u64, size: u64) -> Want {
    Want {
        id,
        dir: DirId(0),
        part: 0,
        index: 0,
        size,
        hash: false,
    }
}

fn tail(bytes: u64) -> Tail {
    Tail {
        status: ReadStatus::Stable,
        bytes,
        fresh: None,
    }
}

#[test]
fn the_window_bounds_the_bytes_under_way() {
    let window = Window::default();
    let third = BYTES / 3;
    let wants: Vec<Want> = (0..5).map(|id| want(id, third)).collect();
    assert_eq!(window.admit(&wants).unwrap(), 3);
    window.whole(0).unwrap();
    assert_eq!(window.admit(&wants[3..]).unwrap(), 1);
}

#[test]
fn the_window_bounds_the_files_under_way() {
    let window = Window::default();
    let wants: Vec<Want> = (0..100_000).map(|id| want(id, 0)).collect();
    assert_eq!(window.admit(&wants).unwrap() as u64, BYTES / LEAST);
}

#[test]
fn a_file_that_is_larger_than_the_window_goes_alone() {
    let window = Window::default();
    let huge = want(1, u64::MAX);
    assert_eq!(window.admit(&[huge, want(2, 1)]).unwrap(), 1);
    assert_eq!(window.ended(1, tail(0)).unwrap().unwrap().bytes, 0);
    assert_eq!(window.admit(&[want(2, 1), huge]).unwrap(), 1);
}

#[test]
fn a_full_window_opens_when_a_file_ends() {
    let window = Arc::new(Window::default());
    assert_eq!(window.admit(&[want(1, BYTES)]).unwrap(), 1);
    let waiting = Arc::clone(&window);
    let thread = std::thread::spawn(move || waiting.admit(&[want(2, 5)]));
    window.whole(1).unwrap();
    assert_eq!(thread.join().unwrap().unwrap(), 1);
}

#[test]
fn whoever_waits_learns_that_the_session_is_over() {
    let window = Arc::new(Window::default());
    window.admit(&[want(1, BYTES)]).unwrap();
    let waiting = Arc::clone(&window);
    let thread = std::thread::spawn(move || waiting.admit(&[want(2, 5)]));
    window.close(SourceError::Lost("gone".to_owned()));
    assert!(thread.join().unwrap().is_err());
    assert!(window.admit(&[want(3, 1)]).is_err());
}

#[test]
fn a_file_ends_with_its_last_piece_or_its_end_whichever_comes_last() {
    let window = Window::default();
    window.admit(&[want(1, 10), want(2, 10)]).unwrap();
    assert!(window.piece(1, 4).unwrap().is_none());
    assert!(window.ended(1, tail(10)).unwrap().is_none());
    assert_eq!(window.piece(1, 6).unwrap().unwrap().bytes, 10);
    assert!(window.piece(2, 10).unwrap().is_none());
    assert_eq!(window.ended(2, tail(10)).unwrap().unwrap().bytes, 10);
}

#[test]
fn what_nobody_asked_for_is_refused() {
    let window = Window::default();
    window.admit(&[want(1, 10)]).unwrap();
    window.whole(1).unwrap();
    for id in [1, 2] {
        assert!(window.whole(id).is_err());
        assert!(window.piece(id, 1).is_err());
        assert!(window.expects(id).is_err());
        assert!(window.ended(id, tail(0)).is_err());
    }
}

#[test]
fn a_file_comes_in_one_way_and_not_in_excess() {
    let window = Window::default();
    window
        .admit(&[want(1, 10), want(2, 10), want(3, 10)])
        .unwrap();
    window.piece(1, 1).unwrap();
    assert!(window.whole(1).is_err(), "in pieces and whole");
    window.ended(2, tail(10)).unwrap();
    assert!(window.ended(2, tail(9)).is_err(), "two ends");
    window.ended(3, tail(10)).unwrap();
    assert!(window.piece(3, 11).is_err(), "more than was sent");
}

#[test]
fn of_two_ends_the_one_that_says_that_the_file_changed_counts_whichever_comes_first() {
    let changed = || Tail {
        status: ReadStatus::Changed,
        ..tail(10)
    };
    for ends in [[tail(10), changed()], [changed(), tail(10)]] {
        let window = Window::default();
        window.admit(&[want(1, 10)]).unwrap();
        for end in ends {
            assert!(window.ended(1, end).unwrap().is_none());
        }
        let end = window.piece(1, 10).unwrap().unwrap();
        assert_eq!(end.status, ReadStatus::Changed);
    }
    // The other was overtaken even by the last piece.
    let window = Window::default();
    window.admit(&[want(1, 10), want(2, 10)]).unwrap();
    window.ended(1, changed()).unwrap();
    window.piece(1, 10).unwrap();
    assert!(window.ended(1, tail(10)).unwrap().is_none());
    window.ended(1, tail(11)).unwrap_err();
    window.piece(2, 10).unwrap();
    assert!(window.ended(2, tail(10)).unwrap().is_some());
    window.ended(2, tail(10)).unwrap_err();
}

#[test]
fn what_was_asked_for_and_has_not_come_is_content() {
    let window = Window::default();
    let hash = Want {
        hash: true,
        ..want(3, 1 << 20)
    };
    let wants = [want(1, 10 << 20), want(2, 1 << 20), hash];
    assert_eq!(window.admit(&wants).unwrap(), 3);
    assert_eq!(window.awaited(), 11 << 20);
    window.piece(1, 4 << 20).unwrap();
    window.whole(2).unwrap();
    assert_eq!(window.awaited(), 6 << 20);
}

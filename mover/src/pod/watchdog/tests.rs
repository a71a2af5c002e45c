use std::sync::mpsc::channel;

use super::*;

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq)]
enum Called {
    Stall,
    GiveUp,
}

fn watched(deadline: Duration, grace: Duration) -> (Feed, Receiver<Called>) {
    let (sender, called) = channel();
    let other = sender.clone();
    let feed = watch(
        deadline,
        grace,
        move || sender.send(Called::Stall).unwrap(),
        move || other.send(Called::GiveUp).unwrap(),
    )
    .unwrap();
    (feed, called)
}

#[test]
fn a_run_that_does_not_move_is_cancelled_and_then_given_up() {
    let (feed, called) = watched(SHORT, SHORT);
    let figures = Figures {
        files_done: 1,
        ..Figures::default()
    };
    let begun = Instant::now();
    // The same figures again and again are no progress.
    let mut seen = Vec::new();
    while seen.len() < 2 && begun.elapsed() < LONG {
        feed.figures(&figures);
        seen.extend(called.recv_timeout(Duration::from_millis(5)));
    }
    assert_eq!(seen, [Called::Stall, Called::GiveUp]);
    assert!(begun.elapsed() >= SHORT * 2);
}

#[test]
fn a_run_that_ends_when_it_is_cancelled_is_not_given_up() {
    let (feed, called) = watched(SHORT, LONG);
    assert_eq!(called.recv_timeout(LONG), Ok(Called::Stall));
    drop(feed);
    assert!(
        called.recv_timeout(LONG).is_err(),
        "the watch is over, and nothing was called"
    );
}

#[test]
fn a_run_that_moves_is_left_alone() {
    let (feed, called) = watched(LONG, LONG);
    (0..100).for_each(|files_done| {
        feed.figures(&Figures {
            files_done,
            ..Figures::default()
        })
    });
    drop(feed);
    assert!(called.recv_timeout(LONG).is_err());
}

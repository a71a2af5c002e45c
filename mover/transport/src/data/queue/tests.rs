use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use blit_engine::entry::DirId;
use blit_engine::run::ReadStatus;

use super::{BLOCK_ANSWERS, BlockAnswer, Job, Preference, Queue, Task, WANTED, is_small};
use crate::data::large::tests::open;
use crate::wire::entry::tests::file;

/// A stream that is not to be left.
static STAYS: AtomicBool = AtomicBool::new(false);

fn job(id: u64, size: u64) -> Job {
    Job {
        id,
        dir: DirId::ROOT,
        entry: file(b"x", size),
        late: false,
    }
}

fn ids(task: Option<Task>) -> Vec<u64> {
    match task {
        Some(Task::Small(jobs)) => jobs.iter().map(|job| job.id).collect(),
        Some(Task::Large(job)) => vec![job.id],
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_kind_of_work_is_taken_by_preference_and_the_other_if_there_is_none() {
    let queue = Queue::default();
    queue.push(vec![job(1, 10), job(2, 1 << 20), job(3, 1 << 20)]);
    assert_eq!(ids(queue.take(Preference::Large, &STAYS)), [2]);
    assert_eq!(ids(queue.take(Preference::Small, &STAYS)), [1]);
    assert_eq!(ids(queue.take(Preference::Small, &STAYS)), [3]);
    assert!(queue.try_take(Preference::Small, &STAYS).is_none());
}

#[test]
fn one_thread_leaves_small_files_for_the_others() {
    let queue = Queue::default();
    queue.push((0..8).map(|id| job(id, 10)).collect());
    assert_eq!(ids(queue.take(Preference::Small, &STAYS)), [0, 1, 2, 3]);
    assert_eq!(ids(queue.take(Preference::Small, &STAYS)), [4, 5]);
}

#[test]
fn pieces_of_an_open_file_come_before_another_is_opened() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; 6 << 20]).unwrap();
    let queue = Queue::default();
    queue.push(vec![job(2, 1 << 20)]);
    queue.opened(Arc::new(open(root.path())));
    for _ in 0..2 {
        assert!(matches!(
            queue.take(Preference::Large, &STAYS),
            Some(Task::Piece(..))
        ));
    }
    assert_eq!(ids(queue.take(Preference::Large, &STAYS)), [2]);
}

#[test]
fn a_closed_queue_sends_everybody_home() {
    let queue = Arc::new(Queue::default());
    let waiting = Arc::clone(&queue);
    let thread = std::thread::spawn(move || waiting.take(Preference::Small, &STAYS).is_none());
    queue.close();
    assert!(thread.join().unwrap());
    queue.push(vec![job(1, 1)]);
    assert!(queue.try_take(Preference::Small, &STAYS).is_none());
}

#[test]
fn a_file_with_holes_is_not_sent_whole_however_small() {
    let mut entry = file(b"x", 60_000);
    assert!(is_small(&entry));
    entry.meta.blocks = 8;
    assert!(!is_small(&entry));
    assert!(is_small(&file(b"x", 64 << 10)));
    assert!(!is_small(&file(b"x", (64 << 10) + 1)));
}

fn answer(id: u64) -> BlockAnswer {
    BlockAnswer {
        id,
        hashes: Vec::new(),
        status: ReadStatus::Stable,
    }
}

fn block_answer(task: Option<Task>) -> u64 {
    match task {
        Some(Task::Blocks(answer)) => answer.id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_hashes_waits_for_whoever_sends() {
    let queue = Arc::new(Queue::default());
    for id in 0..BLOCK_ANSWERS as u64 {
        queue.answer_blocks(answer(id));
    }
    let (told, tell) = std::sync::mpsc::channel();
    let hashing = Arc::clone(&queue);
    let hashing = std::thread::spawn(move || {
        hashing.answer_blocks(answer(1000));
        told.send(()).unwrap();
        // Nobody takes these any more: the end lets it go.
        for id in 0..=BLOCK_ANSWERS as u64 {
            hashing.answer_blocks(answer(id));
        }
    });
    assert!(
        tell.recv_timeout(std::time::Duration::from_millis(100))
            .is_err()
    );
    assert_eq!(block_answer(queue.take(Preference::Small, &STAYS)), 0);
    tell.recv().unwrap();
    for id in 1..BLOCK_ANSWERS as u64 {
        assert_eq!(block_answer(queue.take(Preference::Small, &STAYS)), id);
    }
    assert_eq!(block_answer(queue.take(Preference::Small, &STAYS)), 1000);
    queue.close();
    hashing.join().unwrap();
}

#[test]
fn files_and_ranges_fill_the_queue_alike() {
    let queue = Queue::default();
    queue.push(vec![job(1, 10), job(2, 1 << 20)]);
    queue.push_ranges(vec![(job(3, 1 << 30), vec![(0, 1), (2, 1), (4, 1)])]);
    assert!(queue.has_room(WANTED - 5));
    assert!(!queue.has_room(WANTED - 4));
}

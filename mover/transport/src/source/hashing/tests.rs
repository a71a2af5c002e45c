use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use blit_engine::entry::{DirId, Entry};
use blit_engine::run::{Listing, Next, ReadStatus};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_engine::watch::Roster;

use super::{Hashing, PENDING, start};
use crate::data::queue::{Answer, Job, Preference, Queue, Task};

/// Lists a directory that holds one file with this content.
fn listed(content: &[u8]) -> (tempfile::TempDir, Arc<LocalSource>, Entry) {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), content).unwrap();
    let source = LocalSource::open(root.path(), ScanOptions::default()).unwrap();
    let Next::Part(part) = source.next(Duration::ZERO).unwrap() else {
        panic!("nothing is listed")
    };
    let entry = part.entries[0].clone();
    (root, source, entry)
}

fn job(entry: &Entry) -> Job {
    Job {
        id: 7,
        dir: DirId::ROOT,
        entry: entry.clone(),
        late: false,
    }
}

/// Has a file hashed; returns the answer.
fn answer(source: &Arc<LocalSource>, entry: &Entry) -> Answer {
    let (hashing, queue) = (Arc::<Hashing>::default(), Arc::<Queue>::default());
    start(&hashing, source, &queue, &Arc::default(), &Roster::new()).unwrap();
    hashing.push(vec![job(entry)]).unwrap();
    let Some(Task::Answers(mut answers)) = queue.take(Preference::Small, &AtomicBool::new(false))
    else {
        panic!("no answer")
    };
    hashing.close();
    answers.remove(0)
}

#[test]
fn a_listed_file_is_hashed_and_what_it_became_goes_with_the_hash() {
    let (root, source, entry) = listed(b"content");
    let same = answer(&source, &entry);
    assert_eq!(
        (same.id, same.status, same.fresh),
        (7, ReadStatus::Stable, None)
    );
    std::fs::write(root.path().join("f"), b"another").unwrap();
    let other = answer(&source, &entry);
    assert!(other.hash.is_some() && other.hash != same.hash);
    assert!(other.fresh.is_some());
}

#[test]
fn a_file_that_is_gone_has_no_hash_and_the_answer_says_so() {
    let (root, source, entry) = listed(b"content");
    std::fs::remove_file(root.path().join("f")).unwrap();
    let gone = answer(&source, &entry);
    assert_eq!((gone.hash, gone.status), (None, ReadStatus::Vanished));
}

#[test]
fn a_destination_that_keeps_no_window_is_refused() {
    let (_root, _source, entry) = listed(b"content");
    let hashing = Hashing::default();
    hashing.push(vec![job(&entry); PENDING]).unwrap();
    assert!(hashing.push(vec![job(&entry)]).is_err());
}

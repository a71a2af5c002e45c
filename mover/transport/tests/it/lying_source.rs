//! Sources that break the protocol: the run ends with an error, and nothing is deleted.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::fs::Dir;
use blit_engine::run::{
    Cancel, Fatal, Job, MaxDelete, Operation, Options, RunIdentity, Summary, run,
};
use blit_proto::pki::Role;
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::{ManifestComplete, Relisted};
use tonic::{Code, Status};

use crate::fake::{FakeSource, block_on, entry, header, part};
use crate::harness::Attempt;

/// Runs a mirror into `to` with a source that sends `messages`; returns both ends.
fn lie(to: &Path, messages: Vec<Request>) -> (Summary, Status) {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let lying = std::thread::spawn(move || {
        block_on(async {
            let first = Request::Header(header());
            let mut source = FakeSource::open(address, &identity, first).await.unwrap();
            for message in messages {
                source.send(message).await;
            }
            source.refused().await
        })
    });
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let dir = Dir::open_root(to).unwrap();
    assert_eq!(session.overlap(dir.as_fd()).unwrap(), None);
    let job = Job {
        destination: dir,
        listing: session.listing(),
        content: session.content(),
        options: unguarded(),
        identity: RunIdentity::default(),
    };
    let summary = run(job, Arc::new(()), Cancel::new());
    drop(session);
    (summary, lying.join().unwrap())
}

/// A mirror that no guard holds back: only the session stands between a lie and the deletion of all.
pub(crate) fn unguarded() -> Options {
    Options {
        operation: Operation::Mirror,
        max_delete: Some(MaxDelete::Percent(100)),
        allow_empty_source: true,
        ..Options::default()
    }
}

/// Checks that a lie ends the run and loses nothing.
fn caught(messages: Vec<Request>) {
    let to = tempfile::tempdir().unwrap();
    std::fs::write(to.path().join("precious"), b"data").unwrap();
    let shown = format!("{messages:?}");
    let (summary, status) = lie(to.path(), messages);
    assert!(
        matches!(summary.fatal, Some(Fatal::Source(_))),
        "{shown}: {summary:?}"
    );
    assert!(
        matches!(status.code(), Code::InvalidArgument | Code::Aborted),
        "{shown}: {status}"
    );
    assert_eq!(
        std::fs::read(to.path().join("precious")).unwrap(),
        b"data",
        "{shown}"
    );
}

pub(crate) fn complete(directories: u64, entries: u64) -> Request {
    Request::ManifestComplete(ManifestComplete {
        directories,
        entries,
    })
}

#[test]
fn names_that_leave_the_root_are_caught() {
    for name in ["..", "../x", "/etc/passwd", "a/b", ""] {
        caught(vec![
            part(0, 0, vec![entry(name, None)], Some(1)),
            complete(1, 1),
        ]);
    }
}

#[test]
fn listings_that_break_the_rules_are_caught() {
    caught(vec![part(1, 0, vec![], Some(0))]);
    caught(vec![part(0, 1, vec![], Some(0))]);
    caught(vec![part(0, 0, vec![], Some(3))]);
    caught(vec![part(
        0,
        0,
        vec![entry("a", Some(1)), entry("b", Some(1))],
        Some(2),
    )]);
    caught(vec![
        part(0, 0, vec![entry("a", Some(1))], Some(1)),
        complete(2, 1),
    ]);
    caught(vec![part(0, 0, vec![], None), complete(1, 0)]);
    caught(vec![complete(0, 0)]);
}

#[test]
fn a_second_header_or_an_answer_nobody_asked_for_is_caught() {
    caught(vec![Request::Header(header())]);
    caught(vec![Request::Relisted(Relisted {
        dir: 0,
        last: true,
        ..Relisted::default()
    })]);
}

#[test]
fn a_push_begins_with_a_header_with_a_root() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let mut rootless = header();
    rootless.root = None;
    let mut file = header();
    file.root = Some(entry("x", None));
    for first in [
        complete(0, 0),
        Request::Header(rootless),
        Request::Header(file),
    ] {
        let status = block_on(FakeSource::open(address, &identity, first))
            .err()
            .unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[test]
fn the_end_of_the_stream_is_not_the_end_of_a_listing() {
    let to = tempfile::tempdir().unwrap();
    std::fs::write(to.path().join("precious"), b"data").unwrap();
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let ending = std::thread::spawn(move || {
        block_on(async {
            let first = Request::Header(header());
            let source = FakeSource::open(address, &identity, first).await.unwrap();
            source.send(part(0, 0, vec![], None)).await;
            // Closes the stream without having said that this was all.
            let FakeSource {
                outbound,
                mut responses,
                ..
            } = source;
            drop(outbound);
            while let Ok(Some(_)) = responses.message().await {}
        });
    });
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let job = Job {
        destination: Dir::open_root(to.path()).unwrap(),
        listing: session.listing(),
        content: session.content(),
        options: unguarded(),
        identity: RunIdentity::default(),
    };
    let summary = run(job, Arc::new(()), Cancel::new());
    drop(session);
    ending.join().unwrap();
    assert!(
        matches!(summary.fatal, Some(Fatal::Source(_))),
        "{summary:?}"
    );
    assert_eq!(std::fs::read(to.path().join("precious")).unwrap(), b"data");
}

//! Comparing by content between hosts: whom the destination asks for hashes, and what an answer can do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::fs::Dir;
use blit_engine::run::{Cancel, Job, Options, RunIdentity, run};
use blit_proto::pki::Role;
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{DataTransferNegotiation, FileHeader};
use blit_proto::version;

use crate::fake::{FakeSource, block_on, entry, header, part};
use crate::harness::Attempt;

/// Lists a file that the destination has with the same size; returns what the destination asks for first.
fn first_wants(
    to: &Path,
    features: Vec<String>,
    size: u64,
    checksum: bool,
) -> DataTransferNegotiation {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let asked = std::thread::spawn(move || {
        block_on(async {
            let mut header = header();
            header.hello.as_mut().unwrap().features = features;
            let first = Request::Header(header);
            let mut source = FakeSource::open(address, &identity, first).await.unwrap();
            let file = FileHeader {
                size,
                ..entry("f", None)
            };
            source.send(part(0, 0, vec![file], Some(1))).await;
            loop {
                let response = source.responses.message().await.unwrap().unwrap();
                match response.message {
                    // The first negotiation has the tokens.
                    Some(Response::Negotiation(asked)) if asked.one_time_tokens.is_empty() => {
                        return asked;
                    }
                    _ => {}
                }
            }
        })
    });
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let cancel = Cancel::new();
    let switch = cancel.clone();
    let job = Job {
        destination: Dir::open_root(to).unwrap(),
        listing: session.listing(),
        content: session.content(),
        options: Options {
            checksum,
            ..Options::default()
        },
        identity: RunIdentity::default(),
    };
    let running = std::thread::spawn(move || run(job, Arc::new(()), cancel));
    let asked = asked.join().unwrap();
    switch.cancel();
    drop(session);
    running.join().unwrap();
    asked
}

#[test]
fn hashes_are_asked_of_a_source_that_has_the_feature_and_content_of_an_older_one() {
    for (features, hashes) in [
        (vec![version::BLAKE3.to_owned()], true),
        (vec!["of-another-time".to_owned()], false),
        (Vec::new(), false),
    ] {
        let to = tempfile::tempdir().unwrap();
        std::fs::write(to.path().join("f"), b"12345").unwrap();
        let asked = first_wants(to.path(), features.clone(), 5, true);
        assert_eq!(asked.files_to_hash.is_empty(), !hashes, "{features:?}");
        assert_eq!(asked.files_to_upload.is_empty(), hashes, "{features:?}");
        assert_eq!(std::fs::read(to.path().join("f")).unwrap(), b"12345");
    }
}

#[test]
fn blocks_are_asked_of_a_source_that_has_the_feature_and_the_whole_file_of_an_older_one() {
    const SIZE: u64 = 64 << 20;
    for (features, parts) in [
        (vec![version::PARTS.to_owned()], true),
        (vec![version::BLAKE3.to_owned()], false),
    ] {
        let to = tempfile::tempdir().unwrap();
        let old = std::fs::File::create(to.path().join("f")).unwrap();
        old.set_len(SIZE).unwrap();
        let asked = first_wants(to.path(), features.clone(), SIZE, false);
        assert_eq!(asked.blocks_to_hash.is_empty(), !parts, "{features:?}");
        assert_eq!(asked.files_to_upload.is_empty(), parts, "{features:?}");
        // Nothing came, so that the old version is what it was, and the only one.
        assert_eq!(old.metadata().unwrap().len(), SIZE);
    }
}

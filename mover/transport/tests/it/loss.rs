//! Peers that go away, or stop moving: the other side ends in bounded time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use blit_engine::run::SourceError;
use blit_proto::pki::Role;
use blit_proto::v2::client_push_request::Message as Request;
use blit_transport::Kind;
use blit_transport::source::push;

use crate::fake::{FakeSource, block_on, header, part};
use crate::harness::Attempt;

#[test]
fn nobody_at_the_address_is_unreachable_after_patience() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let root = tempfile::tempdir().unwrap();
    let mut config = attempt.push_config(&destination, root.path());
    drop(destination);
    config.patience = Duration::from_millis(500);
    let start = Instant::now();
    let address = config.connect.clone();
    let error = push(config).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains(&address), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_destination_that_gives_up_tells_the_source() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let root = tempfile::tempdir().unwrap();
    let config = attempt.push_config(&destination, root.path());
    let pushing = std::thread::spawn(move || push(config));
    drop(destination.accept(Duration::from_secs(10)).unwrap());
    let error = pushing.join().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("the destination gave up"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[test]
fn a_source_that_is_interrupted_tells_the_destination() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let root = tempfile::tempdir().unwrap();
    let config = attempt.push_config(&destination, root.path());
    let stop = config.stop.clone();
    let pushing = std::thread::spawn(move || push(config));
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    stop.stop("SIGTERM");
    assert_eq!(
        pushing.join().unwrap().unwrap_err().kind(),
        Kind::Interrupted
    );
    let listing = session.listing();
    let deadline = Instant::now() + Duration::from_secs(10);
    let error = loop {
        match listing.next(Duration::from_secs(1)) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "the session goes on"),
        }
    };
    assert!(matches!(&error, SourceError::Lost(_)), "{error}");
    assert!(error.to_string().contains("SIGTERM"), "{error}");
}

#[test]
fn a_destination_that_makes_no_progress_is_left_after_the_deadline() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let root = tempfile::tempdir().unwrap();
    let mut config = attempt.push_config(&destination, root.path());
    config.progress_deadline = Some(Duration::from_secs(2));
    let pushing = std::thread::spawn(move || push(config));
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let error = pushing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Stalled);
    drop(session);
}

/// Passes bytes on until it is frozen; then everything stays open and silent.
struct Proxy {
    address: SocketAddr,
    frozen: Arc<AtomicBool>,
}

fn proxy(to: SocketAddr) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = Arc::new(AtomicBool::new(false));
    let freeze = Arc::clone(&frozen);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            for (from, to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far.try_clone().unwrap(), near.try_clone().unwrap()),
            ] {
                let frozen = Arc::clone(&freeze);
                std::thread::spawn(move || pass(from, to, &frozen));
            }
            // Kept open.
            std::mem::forget((near, far));
        }
    });
    Proxy { address, frozen }
}

fn pass(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !frozen.load(Ordering::SeqCst) && to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn both_sides_notice_a_path_that_swallows_everything() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let proxy = proxy(destination.addresses().control);
    let root = tempfile::tempdir().unwrap();
    let mut config = attempt.push_config(&destination, root.path());
    config.connect = proxy.address.to_string();
    let pushing = std::thread::spawn(move || push(config));
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    proxy.frozen.store(true, Ordering::SeqCst);
    let start = Instant::now();
    let listing = session.listing();
    while listing.next(Duration::from_secs(1)).is_ok() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the destination did not notice"
        );
    }
    let error = pushing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "the source did not notice"
    );
}

#[test]
fn whoever_waits_for_a_relisting_or_the_window_learns_of_the_loss() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let going = std::thread::spawn(move || {
        block_on(async {
            let first = Request::Header(header());
            let source = FakeSource::open(address, &identity, first).await.unwrap();
            source.send(part(0, 0, vec![], Some(0))).await;
            tokio::task::spawn_blocking(move || wait.recv())
                .await
                .unwrap()
                .unwrap();
        });
    });
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let listing = session.listing();
    let blit_engine::run::Content::Arriving { wants, .. } = session.content() else {
        panic!("content does not arrive")
    };
    std::thread::scope(|scope| {
        let relisting = scope.spawn(|| listing.relist(blit_engine::entry::DirId::ROOT));
        let wanting = scope.spawn(|| {
            let want = |id| blit_engine::run::Want {
                id,
                dir: blit_engine::entry::DirId::ROOT,
                part: 0,
                index: 0,
                size: 60 << 20,
                hash: false,
            };
            wants.want(&[want(1), want(2)])
        });
        go.send(()).unwrap();
        assert!(relisting.join().unwrap().is_err());
        assert!(wanting.join().unwrap().is_err());
    });
    going.join().unwrap();
    assert!(session.lost().is_some());
}

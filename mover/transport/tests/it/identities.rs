//! Who gets in, and what each may do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use blit_proto::pki::{Identity, PeerName, Role};
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::{Hello, ListRequest, ProgressUpdate, PurgeRequest};
use blit_transport::Kind;
use blit_transport::destination::{Destination, ServeConfig};
use blit_transport::planes::PlanePolicy;
use blit_transport::source::{PushConfig, push};
use tonic::Code;

use crate::fake::{FakeSource, block_on, dial, header};
use crate::harness::{Attempt, JOB, receive};

/// Pushes an empty tree as `identity`; returns how that failed.
fn refused(attempt: &Attempt, identity: Identity) -> (Kind, String) {
    let destination = attempt.destination();
    let root = tempfile::tempdir().unwrap();
    let mut config = attempt.push_config(&destination, root.path());
    config.identity = identity;
    config.patience = Duration::from_secs(30);
    let error = push(config).unwrap_err();
    assert!(
        destination.accept(Duration::ZERO).is_err(),
        "a session was opened"
    );
    (error.kind(), error.to_string())
}

#[test]
fn a_source_of_another_job_is_not_authenticated() {
    let ours = Attempt::new();
    let theirs = Attempt::new();
    let (kind, text) = refused(&ours, theirs.identity(Role::Source));
    assert_eq!(kind, Kind::NotAuthenticated, "{text}");
    // It trusts the destination, but its certificate is of another authority.
    let stranger = theirs.identity(Role::Source);
    let mixed = Identity::new(
        ours.authority.certificate_pem().to_owned(),
        stranger.certificate_pem().to_owned(),
        stranger.key_pem().to_owned(),
    );
    let (kind, text) = refused(&ours, mixed);
    assert_eq!(kind, Kind::NotAuthenticated, "{text}");
}

#[test]
fn another_role_or_attempt_is_not_authenticated() {
    let attempt = Attempt::new();
    for wrong in [
        PeerName::mover(JOB, 1, Role::Destination).unwrap(),
        PeerName::mover(JOB, 2, Role::Source).unwrap(),
        PeerName::mover("another", 1, Role::Source).unwrap(),
    ] {
        let (kind, text) = refused(&attempt, attempt.authority.issue(&wrong).unwrap());
        assert_eq!(kind, Kind::NotAuthenticated, "{wrong}: {text}");
    }
}

#[test]
fn an_operator_may_not_push() {
    let attempt = Attempt::new();
    let (kind, text) = refused(&attempt, attempt.operator());
    assert_eq!(kind, Kind::NotAuthenticated);
    assert!(text.contains("may not push"), "{text}");
}

#[test]
fn a_header_for_another_job_is_refused_even_with_the_right_certificate() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let identity = attempt.identity(Role::Source);
    let mut wrong = header();
    wrong.attempt = 2;
    let address = destination.addresses().control;
    let status = block_on(FakeSource::open(address, &identity, Request::Header(wrong)));
    assert_eq!(status.err().unwrap().code(), Code::PermissionDenied);
}

#[test]
fn versions_without_overlap_are_refused_with_both_named() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let identity = attempt.identity(Role::Source);
    let mut future = header();
    future.hello = Some(Hello {
        min: 90,
        max: 91,
        program: "blit 9.0".to_owned(),
        ..Hello::default()
    });
    let address = destination.addresses().control;
    block_on(async {
        let status = FakeSource::open(address, &identity, Request::Header(future)).await;
        let status = status.err().unwrap();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(status.message().contains("blit 9.0") && status.message().contains("90 to 91"));
        // The place is still free for the right one.
        FakeSource::open(address, &identity, Request::Header(header()))
            .await
            .unwrap();
    });
}

#[test]
fn a_session_has_one_source() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let identity = attempt.identity(Role::Source);
    let address = destination.addresses().control;
    block_on(async {
        let first = FakeSource::open(address, &identity, Request::Header(header())).await;
        let second = FakeSource::open(address, &identity, Request::Header(header())).await;
        assert_eq!(second.err().unwrap().code(), Code::AlreadyExists);
        drop(first);
        let third = FakeSource::open(address, &identity, Request::Header(header())).await;
        assert_eq!(
            third.err().unwrap().code(),
            Code::AlreadyExists,
            "not even afterwards"
        );
    });
}

#[test]
fn what_a_mover_does_not_serve_it_says_so() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    block_on(async {
        let connection = dial(address, &attempt.identity(Role::Source)).await;
        connection.ping().await.unwrap();
        let mut client = connection.client();
        let list = client.list(ListRequest::default()).await.err().unwrap();
        let purge = client.purge(PurgeRequest::default()).await.err().unwrap();
        let pull = client.pull(tokio_stream::empty()).await.err().unwrap();
        for status in [list, purge, pull] {
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains("blit serve"), "{status}");
        }
    });
}

#[test]
fn an_operator_follows_progress_to_the_summary() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(from.path().join("f"), b"x").unwrap();
    let address = destination.addresses().control;
    let operator = attempt.operator();
    let following = std::thread::spawn(move || {
        block_on(async {
            let mut updates = dial(address, &operator).await.progress().await.unwrap();
            let mut seen: Vec<ProgressUpdate> = Vec::new();
            while let Some(update) = updates.message().await.unwrap() {
                seen.push(update);
            }
            seen
        })
    });
    let config = PushConfig {
        // On a busy machine TCP may come too late for a file of one byte.
        planes: PlanePolicy::TCP,
        ..attempt.push_config(&destination, from.path())
    };
    let pushing = std::thread::spawn(move || push(config));
    let (summary, _) = receive(&destination, to.path());
    drop(destination);
    assert!(summary.is_complete());
    pushing.join().unwrap().unwrap();
    let seen = following.join().unwrap();
    let last = seen.last().unwrap().summary.as_ref().unwrap();
    assert_eq!((last.exit_code, last.transport.as_str()), (0, "TCP"));
}

#[test]
fn an_operator_may_cancel_and_a_source_may_not() {
    let attempt = Attempt::new();
    let reason = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&reason);
    let destination = Destination::bind(ServeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_port: 0,
        identity: attempt.identity(Role::Destination),
        job_uid: JOB.to_owned(),
        attempt: 1,
        verify: false,
        on_cancel: Arc::new(move |reason| *heard.lock().unwrap() = reason.to_owned()),
    })
    .unwrap();
    let address = destination.addresses().control;
    block_on(async {
        let source = dial(address, &attempt.identity(Role::Source)).await;
        assert!(source.cancel("no").await.is_err());
        assert_eq!(*reason.lock().unwrap(), "");
        dial(address, &attempt.operator())
            .await
            .cancel("enough")
            .await
            .unwrap();
        assert_eq!(*reason.lock().unwrap(), "enough");
    });
}

#[test]
fn the_wait_for_a_source_can_be_interrupted_and_is_bounded() {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let error = destination.accept(Duration::from_millis(1)).err().unwrap();
    assert_eq!(error.kind(), Kind::Unreachable);
    let address = destination.addresses().control.to_string();
    assert!(error.to_string().contains(&address), "{error}");
    let interrupter = destination.interrupter();
    let interrupting = std::thread::spawn(move || interrupter.interrupt("SIGTERM"));
    let error = destination.accept(Duration::from_secs(60)).err().unwrap();
    assert_eq!(error.kind(), Kind::Interrupted);
    interrupting.join().unwrap();
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let attempt = Attempt::new();
    let first = attempt.destination();
    let error = Destination::bind(ServeConfig {
        listen: first.addresses().control,
        data_port: 0,
        identity: attempt.identity(Role::Destination),
        job_uid: JOB.to_owned(),
        attempt: 1,
        verify: false,
        on_cancel: Arc::new(|_| {}),
    });
    let text = error.err().unwrap().to_string();
    assert!(
        text.contains(&first.addresses().control.to_string()) && text.contains("choose"),
        "{text}"
    );
}

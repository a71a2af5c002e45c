//! Destinations that break the protocol: the source opens nothing that it did not list, and ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use blit_engine::run::Options;
use blit_proto::control::ControlError;
use blit_proto::control::access::DaemonAccess;
use blit_proto::pki::daemon::{ClientCertificate, Trust};
use blit_proto::pki::{PeerName, Role};
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{DataToken, DataTransferNegotiation, DirDone, Hello, PushSummary};
use blit_transport::client::Remote;
use blit_transport::daemon::Ask;
use blit_transport::planes::PlanePolicy;
use blit_transport::source::{DaemonPush, PushConfig, PushOutcome, Stop, push, push_to_daemon};
use blit_transport::{Kind, TransportError};

use crate::fake::{serve, serve_as, serve_forgetting};
use crate::harness::{Attempt, JOB, source};

/// A token as a destination makes it: header, claims, any signature.
pub(crate) fn token() -> DataToken {
    // {"typ":"JWT","alg":"HS256"} and claims of stream 0.
    let claims = concat!(
        "eyJqdGkiOiJqIiwiZXhwIjoxOTAwMDAwMDAwLCJzaWQiOiJzIiwic3RyZWFtIjowLCJkaXJlY3Rpb24iOiJwdXNo",
        "IiwieDV0I1MyNTYiOiJjIn0"
    );
    let token = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl");
    DataToken {
        stream: 0,
        token,
        key: vec![7; 32],
    }
}

pub(crate) fn negotiation(data_port: u16) -> DataTransferNegotiation {
    DataTransferNegotiation {
        // It cannot replace streams: what breaks ends the session.
        hello: Some(Hello {
            features: Vec::new(),
            ..blit_proto::version::hello()
        }),
        data_port: data_port.into(),
        one_time_tokens: vec![token()],
        session: "s".to_owned(),
        version: blit_proto::version::MAX,
        ..DataTransferNegotiation::default()
    }
}

/// Pushes a small tree to a destination that follows a script.
fn push_to(script: Vec<Response>) -> TransportError {
    push_over(PlanePolicy::ANY, Some(Duration::from_secs(20)), script)
}

/// As [`push_to`], over certain data planes and with any progress deadline.
pub(crate) fn push_over(
    planes: PlanePolicy,
    progress_deadline: Option<Duration>,
    script: Vec<Response>,
) -> TransportError {
    let pushed = pushed_over(planes, progress_deadline, async |attempt| {
        serve(attempt, script).await
    });
    pushed.unwrap_err()
}

/// Pushes a small tree to whoever is served.
fn pushed_over(
    planes: PlanePolicy,
    progress_deadline: Option<Duration>,
    serve: impl AsyncFnOnce(&Attempt) -> SocketAddr,
) -> Result<PushOutcome, TransportError> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let attempt = Attempt::new();
    let address = runtime.block_on(serve(&attempt));
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), b"content").unwrap();
    let pushed = push(PushConfig {
        connect: address.to_string(),
        identity: attempt.identity(Role::Source),
        job_uid: JOB.to_owned(),
        attempt: 1,
        source: source(root.path()),
        display: String::new(),
        patience: Duration::from_secs(5),
        progress_deadline,
        scan_threads: Some(1),
        on_slow: Arc::new(|_, _, _| ()),
        block_queue: false,
        stop: Stop::new(),
        planes,
        on_tried: Arc::new(|_| ()),
    });
    runtime.shutdown_background();
    pushed
}

#[test]
fn a_destination_that_has_forgotten_a_session_still_says_how_it_ended() {
    // It says nothing to who comes for data; inside gRPC it takes none, and of that it is told.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut negotiation = negotiation(silent.local_addr().unwrap().port());
    negotiation.hello = Some(blit_proto::version::hello());
    let summary = PushSummary {
        result: "complete".to_owned(),
        ..PushSummary::default()
    };
    let patience = Some(Duration::from_secs(20));
    let pushed = pushed_over(PlanePolicy::ANY, patience, async |attempt| {
        let script = vec![Response::Negotiation(negotiation)];
        serve_forgetting(attempt, script, Response::Summary(summary)).await
    });
    assert_eq!(pushed.unwrap().summary.result, "complete");
}

#[test]
fn a_destination_that_does_not_negotiate_first_is_left() {
    let error = push_to(vec![Response::DirDone(DirDone::default())]);
    assert!(matches!(error, TransportError::Protocol(_)), "{error}");
}

#[test]
fn a_negotiation_without_port_token_or_version_is_left() {
    let mut tokenless = negotiation(1);
    tokenless.one_time_tokens.clear();
    let mut versionless = negotiation(1);
    versionless.version = 77;
    for wrong in [negotiation(0), tokenless, versionless] {
        let error = push_to(vec![Response::Negotiation(wrong)]);
        assert!(matches!(error, TransportError::Protocol(_)), "{error}");
    }
    let mut future = negotiation(1);
    future.hello = Some(Hello {
        min: 50,
        max: 60,
        ..Hello::default()
    });
    assert_eq!(
        push_to(vec![Response::Negotiation(future)]).kind(),
        Kind::Incompatible
    );
}

#[test]
fn a_daemon_that_cannot_judge_what_is_sent_gets_nothing_where_that_was_asked_for() {
    // What an older daemon does with `verify`, which it does not know: it answers without a key.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let attempt = Attempt::new();
    let issue = |name| attempt.authority.issue(&name).unwrap();
    let daemon = issue(PeerName::daemon("older").unwrap());
    let client = issue(PeerName::client("test", "read.write.delete", "-").unwrap());
    let data = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = data.local_addr().unwrap().port();
    let script = vec![Response::Negotiation(negotiation(port))];
    let address = runtime.block_on(serve_as(daemon, script));
    let root = tempfile::tempdir().unwrap();
    let pushed = push_to_daemon(DaemonPush {
        remote: Remote {
            address: address.to_string(),
            access: DaemonAccess {
                trust: Trust::Authority(client.ca_pem().to_owned()),
                certificate: Some(ClientCertificate {
                    certificate: client.certificate_pem().to_owned(),
                    key: client.key_pem().to_owned(),
                }),
                token: None,
            },
        },
        ask: Ask {
            options: Options {
                verify: true,
                ..Options::default()
            },
            ..Ask::default()
        },
        source: source(root.path()),
        display: String::new(),
        on_slow: Arc::new(|_, _, _| ()),
        block_queue: false,
        on_events: Arc::new(|_| ()),
        planes: PlanePolicy::default(),
        on_tried: Arc::new(|_| ()),
        stop: Stop::new(),
    });
    runtime.shutdown_background();
    let error = pushed.unwrap_err();
    assert!(
        matches!(
            error,
            TransportError::Control(ControlError::Incompatible { .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("--verify"), "{error}");
    data.set_nonblocking(true).unwrap();
    assert!(data.accept().is_err(), "a data socket was opened");
}

#[test]
fn a_token_that_cannot_be_read_is_left() {
    for wrong in [
        DataToken {
            key: vec![1; 31],
            ..token()
        },
        DataToken {
            stream: 1,
            ..token()
        },
        DataToken {
            token: "x".repeat(2000),
            ..token()
        },
    ] {
        let mut negotiation = negotiation(1);
        negotiation.one_time_tokens = vec![wrong];
        let error = push_to(vec![Response::Negotiation(negotiation)]);
        assert!(matches!(error, TransportError::Protocol(_)), "{error}");
    }
}

#[test]
fn a_data_port_that_cannot_be_reached_is_named_with_the_remedy() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = push_to(vec![Response::Negotiation(negotiation(closed.port()))]);
    assert_eq!(error.kind(), Kind::Unreachable);
    let text = error.to_string();
    assert!(
        text.contains(&closed.to_string()) && text.contains("network policies"),
        "{text}"
    );
}

#[test]
fn a_data_port_that_does_not_hold_the_key_gets_no_content() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stranger = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut frame = [0; 1024];
        socket.read_exact(&mut frame).unwrap();
        // The best it can do without the key: the magic, and the code it was shown.
        socket.write_all(&frame[..40]).unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        rest
    });
    let error = push_to(vec![Response::Negotiation(negotiation(port))]);
    assert_eq!(error.kind(), Kind::NotAuthenticated);
    assert_eq!(stranger.join().unwrap(), b"");
}

/// Takes one data socket and agrees to everything, as a listener that holds the key would.
pub(crate) fn listener() -> u16 {
    use aws_lc_rs::hmac;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut frame = [0; 1024];
        socket.read_exact(&mut frame).unwrap();
        let length = usize::from(u16::from_be_bytes([frame[8], frame[9]]));
        let nonce = &frame[10 + length..10 + length + 32];
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let message = [
            &b"blit data listener\0"[..],
            &1u64.to_be_bytes(),
            b"j",
            &0u32.to_be_bytes(),
            b"push",
            nonce,
        ];
        let mac = hmac::sign(&key, &message.concat());
        socket
            .write_all(&[b"BLITDP2\0", mac.as_ref()].concat())
            .unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    });
    port
}

#[test]
fn a_want_of_something_that_was_not_listed_is_refused() {
    // Id, directory, part and position as single bytes.
    for wanted in [
        vec![1, 9, 0, 0],
        vec![1, 0, 9, 0],
        vec![1, 0, 0, 200],
        vec![0xff; 11],
    ] {
        let content = DataTransferNegotiation {
            files_to_upload: wanted.clone().into(),
            ..Default::default()
        };
        let hash = DataTransferNegotiation {
            files_to_hash: wanted,
            ..Default::default()
        };
        for wants in [content, hash] {
            let script = vec![
                Response::Negotiation(negotiation(listener())),
                Response::Negotiation(wants),
            ];
            let error = push_to(script);
            assert!(matches!(error, TransportError::Protocol(_)), "{error}");
        }
    }
}

#[test]
fn a_listing_that_was_not_sent_cannot_be_done() {
    let done = DirDone {
        dir: 4,
        part: 0,
        keep: false,
    };
    let script = vec![
        Response::Negotiation(negotiation(listener())),
        Response::DirDone(done),
    ];
    assert!(matches!(push_to(script), TransportError::Protocol(_)));
}

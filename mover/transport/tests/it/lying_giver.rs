//! Sources that listen and break the protocol: the run of the client ends with an error, and nothing is deleted.

use std::sync::Arc;
use std::time::Duration;

use blit_engine::fs::Dir;
use blit_engine::run::{Cancel, Fatal, Job, MaxDelete, Operation, Options, RunIdentity, run};
use blit_proto::control::access::Access;
use blit_proto::pki::{PeerName, PeerPattern, Role};
use blit_proto::v2::client_push_request::Message as Said;
use blit_proto::v2::{
    ClientPushRequest, DataTransferNegotiation, ManifestComplete, PullChunk, PushHeader, Relisted,
    SourceFailed, pull_chunk,
};
use blit_transport::TransportError;
use blit_transport::destination::{PullConfig, Session, pull};
use blit_transport::planes::PlanePolicy;
use blit_transport::reach::Target;
use blit_transport::source::Stop;

use crate::fake::{entry, header, part, serve_pull};
use crate::harness::{Attempt, JOB};
use crate::lying_destination::{listener, negotiation};

pub(crate) fn negotiated(negotiation: DataTransferNegotiation) -> PullChunk {
    PullChunk {
        message: Some(pull_chunk::Message::Negotiation(negotiation)),
    }
}

pub(crate) fn said(message: Said) -> PullChunk {
    PullChunk {
        message: Some(pull_chunk::Message::Said(ClientPushRequest {
            message: Some(message),
        })),
    }
}

/// Pulls from a source that follows a script, and does something with the session.
fn pull_from<T>(
    script: Vec<PullChunk>,
    then: impl FnOnce(Result<Session, TransportError>) -> T,
) -> T {
    pull_over(PlanePolicy::TCP, script, then)
}

/// As [`pull_from`], over certain data planes.
pub(crate) fn pull_over<T>(
    planes: PlanePolicy,
    script: Vec<PullChunk>,
    then: impl FnOnce(Result<Session, TransportError>) -> T,
) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let attempt = Attempt::new();
    let address = runtime.block_on(serve_pull(&attempt, script));
    let name = PeerName::mover(JOB, 1, Role::Destination).unwrap();
    let opened = pull(&PullConfig {
        target: Target {
            address: address.to_string(),
            access: Access::Mover(attempt.identity(Role::Source), PeerPattern::Exactly(name)),
        },
        path: Vec::new(),
        verify: false,
        one_file_system: false,
        planes,
        patience: Duration::from_secs(5),
        stop: Stop::new(),
    });
    let got = then(opened);
    runtime.shutdown_background();
    got
}

/// Checks that a lie ends the run and loses nothing.
fn caught(messages: Vec<Said>) {
    let shown = format!("{messages:?}");
    // One token, so that the listener of the test has the one socket it takes.
    let mut script = vec![
        negotiated(negotiation(listener())),
        said(Said::Header(header())),
    ];
    script.extend(messages.into_iter().map(said));
    let to = tempfile::tempdir().unwrap();
    std::fs::write(to.path().join("precious"), b"data").unwrap();
    let summary = pull_from(script, |session| {
        let session = session.unwrap();
        let job = Job {
            destination: Dir::open_root(to.path()).unwrap(),
            listing: session.listing(),
            content: session.content(),
            options: Options {
                operation: Operation::Mirror,
                max_delete: Some(MaxDelete::Percent(100)),
                allow_empty_source: true,
                ..Options::default()
            },
            identity: RunIdentity::default(),
        };
        run(job, Arc::new(()), Cancel::new())
    });
    assert!(
        matches!(summary.fatal, Some(Fatal::Source(_))),
        "{shown}: {summary:?}"
    );
    assert_eq!(
        std::fs::read(to.path().join("precious")).unwrap(),
        b"data",
        "{shown}"
    );
}

#[test]
fn names_that_leave_the_root_are_caught() {
    let complete = ManifestComplete {
        directories: 1,
        entries: 1,
    };
    for name in ["..", "../x", "/etc/passwd", "a/b", ""] {
        caught(vec![
            part(0, 0, vec![entry(name, None)], Some(1)),
            Said::ManifestComplete(complete),
        ]);
    }
}

#[test]
fn listings_that_break_the_rules_are_caught() {
    caught(vec![part(1, 0, vec![], Some(0))]);
    caught(vec![part(0, 0, vec![], Some(3))]);
    caught(vec![Said::ManifestComplete(ManifestComplete::default())]);
    caught(vec![Said::Header(header())]);
    caught(vec![Said::Relisted(Relisted::default())]);
    caught(vec![Said::Failed(SourceFailed::default())]);
}

#[test]
fn a_source_that_does_not_open_as_it_should_is_left() {
    let rootless = PushHeader {
        root: None,
        ..header()
    };
    let file = PushHeader {
        root: Some(entry("x", None)),
        ..header()
    };
    let mut portless = negotiation(1);
    portless.data_port = 0;
    let good = || negotiated(negotiation(listener()));
    for script in [
        vec![said(Said::Header(header()))],
        vec![good(), good()],
        vec![good(), said(Said::Header(rootless))],
        vec![good(), said(Said::Header(file))],
        vec![negotiated(portless), said(Said::Header(header()))],
    ] {
        let shown = format!("{script:?}");
        let error = pull_from(script, |session| session.err());
        assert!(
            matches!(error, Some(TransportError::Protocol(_))),
            "{shown}: {error:?}"
        );
    }
}

#[test]
fn a_source_that_cannot_read_its_root_says_so() {
    let failed = SourceFailed {
        message: "cannot open".to_owned(),
        ..SourceFailed::default()
    };
    let script = vec![negotiated(negotiation(1)), said(Said::Failed(failed))];
    let error = pull_from(script, |session| session.err()).unwrap();
    assert!(matches!(&error, TransportError::Source(_)), "{error}");
}

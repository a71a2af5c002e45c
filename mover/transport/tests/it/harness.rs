//! Both ends of a session in one process.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blit_engine::fs::Dir;
use blit_engine::run::{Cancel, Job, Operation, Options, RunIdentity, Summary, run};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::pki::{Authority, Identity, PeerName, Role};
use blit_transport::TransportError;
use blit_transport::destination::{Destination, Figures, RunResult, ServeConfig};
use blit_transport::planes::PlanePolicy;
use blit_transport::source::{PushConfig, PushOutcome, Stop, push};

pub(crate) const JOB: &str = "6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e";

/// Identities of one attempt.
pub(crate) struct Attempt {
    pub(crate) authority: Authority,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        Self {
            authority: Authority::new(JOB, SystemTime::now()).unwrap(),
        }
    }

    pub(crate) fn identity(&self, role: Role) -> Identity {
        self.authority
            .issue(&PeerName::mover(JOB, 1, role).unwrap())
            .unwrap()
    }

    pub(crate) fn operator(&self) -> Identity {
        self.authority
            .issue(&PeerName::operator("test").unwrap())
            .unwrap()
    }

    /// Listens on loopback.
    pub(crate) fn destination(&self) -> Destination {
        Destination::bind(ServeConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_port: 0,
            identity: self.identity(Role::Destination),
            job_uid: JOB.to_owned(),
            attempt: 1,
            verify: false,
            on_cancel: Arc::new(|_| {}),
        })
        .unwrap()
    }

    /// How to push `root` to a destination.
    pub(crate) fn push_config(&self, destination: &Destination, root: &Path) -> PushConfig {
        PushConfig {
            connect: destination.addresses().control.to_string(),
            identity: self.identity(Role::Source),
            job_uid: JOB.to_owned(),
            attempt: 1,
            source: source(root),
            display: root.display().to_string(),
            patience: Duration::from_secs(5),
            progress_deadline: Some(Duration::from_secs(60)),
            scan_threads: None,
            on_slow: Arc::new(|_, _, _| ()),
            block_queue: false,
            stop: Stop::new(),
            planes: PlanePolicy::ANY,
            on_tried: Arc::new(|_| ()),
        }
    }
}

pub(crate) fn source(root: &Path) -> Arc<LocalSource> {
    LocalSource::open(
        root,
        ScanOptions {
            xattrs: true,
            ..ScanOptions::default()
        },
    )
    .unwrap()
}

/// What both ends say of a session.
pub(crate) struct Ended {
    pub(crate) source: Result<PushOutcome, TransportError>,
    pub(crate) summary: Summary,
    pub(crate) figures: Figures,
}

/// Pushes `from` to `to` and waits for both ends.
pub(crate) fn mirror(from: &Path, to: &Path) -> Ended {
    mirror_over(PlanePolicy::ANY, from, to)
}

/// As [`mirror`], over certain data planes.
pub(crate) fn mirror_over(planes: PlanePolicy, from: &Path, to: &Path) -> Ended {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let config = PushConfig {
        planes,
        ..attempt.push_config(&destination, from)
    };
    let pushing = std::thread::spawn(move || push(config));
    let (summary, figures) = receive(&destination, to);
    drop(destination);
    Ended {
        source: pushing.join().unwrap(),
        summary,
        figures,
    }
}

/// Takes a session and runs it into `to`.
pub(crate) fn receive(destination: &Destination, to: &Path) -> (Summary, Figures) {
    let session = destination.accept(Duration::from_secs(10)).unwrap();
    let dir = Dir::open_root(to).unwrap();
    assert_eq!(session.overlap(dir.as_fd()).unwrap(), None);
    let job = Job {
        destination: dir,
        listing: session.listing(),
        content: session.content(),
        options: Options {
            operation: Operation::Mirror,
            ..Options::default()
        },
        identity: RunIdentity::default(),
    };
    let summary = run(job, Arc::new(()), Cancel::new());
    let result = RunResult {
        exit_code: u32::from(!summary.is_complete()),
        result: if summary.is_complete() {
            "complete"
        } else {
            "incomplete"
        }
        .to_owned(),
        counters: [("filesCopied".to_owned(), summary.progress.files_copied)].into(),
        ..RunResult::default()
    };
    let figures = session.finish(result);
    (summary, figures)
}

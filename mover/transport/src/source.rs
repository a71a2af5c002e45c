//! The source of a session: dials, scans its tree, and sends what it is asked for.
//!
//! [`push`] blocks until the destination has told its result. Threads: some scan, one for each data stream
//! sends; a small runtime does the gRPC.
//!
//! Invariants: only names that were listed are opened. Whatever the destination asks is read at once, even
//! while the listing waits, so that neither side can block the other.

mod activity;
mod hashing;
pub(crate) mod pull;
pub(crate) mod pulse;
mod retained;
mod scan;
pub(crate) mod serving;
mod session;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use blit_engine::tree::LocalSource;
use blit_proto::control::access::Access;
use blit_proto::pki::{Identity, PeerName, PeerPattern, Role};
use blit_proto::v2::{PushHeader, PushSummary};

use crate::client::Remote;
use crate::daemon::Ask;
use crate::error::TransportError;
use crate::planes::{PlanePolicy, Tried};
use crate::reach::Target;
pub use crate::stop::Stop;
use serving::Offer;
use session::Plan;

/// Takes the name of a call, its object and how long it has taken.
pub type OnSlow = dyn Fn(&'static str, &[u8], Duration) + Send + Sync;

/// Takes a data plane that could not be used.
pub type OnTried = dyn Fn(&Tried) + Send + Sync;

/// Takes events of the run at a daemon: JSON objects of the schema `blit.events/v1`.
pub type OnEvents = dyn Fn(&[Vec<u8>]) + Send + Sync;

/// How to push to a mover.
#[derive(Clone)]
pub struct PushConfig {
    /// `HOST:PORT` of the control plane of the destination.
    pub connect: String,
    /// Who this side is.
    pub identity: Identity,
    /// UID of the job.
    pub job_uid: String,
    /// Attempt of the job, from 1.
    pub attempt: u32,
    /// The tree; opened with extended attributes in the listing.
    pub source: Arc<LocalSource>,
    /// The tree as people write it, for messages and events of the destination.
    pub display: String,
    /// How long it is tried to reach the destination.
    pub patience: Duration,
    /// How long nothing may move before the session counts as stalled; `None`: for ever.
    pub progress_deadline: Option<Duration>,
    /// Threads that scan; `None`: chosen.
    pub scan_threads: Option<usize>,
    /// Told of a system call that takes long: its name, its object below the root, and how long it has taken.
    pub on_slow: Arc<OnSlow>,
    /// Test switch: what is asked for is never sent, so that the run stalls.
    pub block_queue: bool,
    /// Ends the session early.
    pub stop: Stop,
    /// Which data planes may be used.
    pub planes: PlanePolicy,
    /// Told of a data plane that could not be used.
    pub on_tried: Arc<OnTried>,
}

/// How long it is usually tried to reach the destination. With what ending takes it stays below the 30 s
/// after which a mover without a peer must have left.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// What a push came to.
#[derive(Clone, Debug)]
pub struct PushOutcome {
    /// What the destination said at the end.
    pub summary: PushSummary,
    /// Content bytes that were sent.
    pub bytes_sent: u64,
    /// Of these, without a copy.
    pub bytes_zero_copy: u64,
    /// Files that were sent.
    pub files_sent: u64,
}

/// Threads for the control plane; it moves listings, not data.
const RUNTIME_THREADS: usize = 2;

/// How long threads of the runtime may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// Pushes a tree to a destination; returns when that has told its result.
pub fn push(config: PushConfig) -> Result<PushOutcome, TransportError> {
    let destination = PeerName::mover(&config.job_uid, config.attempt, Role::Destination)?;
    let access = Access::Mover(config.identity, PeerPattern::Exactly(destination));
    run(&Plan {
        target: Target {
            address: config.connect.clone(),
            access,
        },
        patience: config.patience,
        offer: Offer {
            source: config.source,
            display: config.display,
            single_file: false,
            peer: config.connect,
            progress_deadline: config.progress_deadline,
            scan_threads: config.scan_threads,
            on_slow: config.on_slow,
            block_queue: config.block_queue,
            stop: config.stop,
        },
        header: PushHeader {
            job_uid: config.job_uid,
            attempt: config.attempt,
            ..PushHeader::default()
        },
        on_events: None,
        planes: config.planes,
        on_tried: config.on_tried,
    })
}

/// How to push to a daemon.
#[derive(Clone)]
pub struct DaemonPush {
    /// The daemon.
    pub remote: Remote,
    /// What is asked of it.
    pub ask: Ask,
    /// The tree; opened with extended attributes in the listing.
    pub source: Arc<LocalSource>,
    /// The tree as people write it.
    pub display: String,
    /// Told of a system call that takes long.
    pub on_slow: Arc<OnSlow>,
    /// Test switch: what is asked for is never sent, so that the run stalls.
    pub block_queue: bool,
    /// Takes the events of the run there.
    pub on_events: Arc<OnEvents>,
    /// Which data planes may be used.
    pub planes: PlanePolicy,
    /// Told of a data plane that could not be used.
    pub on_tried: Arc<OnTried>,
    /// Ends the session early.
    pub stop: Stop,
}

/// Pushes a tree to a daemon; returns when that has told the result.
pub fn push_to_daemon(config: DaemonPush) -> Result<PushOutcome, TransportError> {
    let DaemonPush { remote, ask, .. } = config;
    run(&Plan {
        target: Target {
            address: remote.address.clone(),
            access: Access::Daemon(remote.access),
        },
        // Somebody waits, who knows whether the daemon runs.
        patience: Duration::ZERO,
        offer: Offer {
            source: config.source,
            display: config.display,
            single_file: ask.single_file,
            peer: remote.address,
            progress_deadline: None,
            scan_threads: None,
            on_slow: config.on_slow,
            block_queue: config.block_queue,
            stop: config.stop,
        },
        header: PushHeader {
            ask: Some(ask.to_wire()),
            ..PushHeader::default()
        },
        on_events: Some(config.on_events),
        planes: config.planes,
        on_tried: config.on_tried,
    })
}

fn run(plan: &Plan) -> Result<PushOutcome, TransportError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("blit-control")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(session::run(plan));
    runtime.shutdown_timeout(GRACE);
    outcome
}

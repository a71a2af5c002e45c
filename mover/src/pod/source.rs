//! `blit mover source`: reads a tree and pushes it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::mirrorjob::{SelectedTransport, Side};
use blit_engine::run::{RESERVED, RESERVED_NAME, STATE_DIR};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::pki::Identity;
use blit_transport::source::{PATIENCE, PushConfig, PushOutcome, Stop, push};

use super::error::PodError;
use super::side::Mover;
use crate::cli::SourceArgs;
use crate::report::output::Output;
use crate::report::record::{EntryPath, Record, Start, SummaryRecord};
use crate::report::{rpc, status};

/// Runs the mover to its end. `started` is when the process began.
pub fn run(args: SourceArgs, started: Instant) -> ExitCode {
    let mover = Mover::new(
        Side::Source,
        SelectedTransport::Tcp,
        args.side.clone(),
        started,
    );
    let ended = send(&mover, args);
    mover.finish(ended)
}

fn send(mover: &Mover, args: SourceArgs) -> Result<SummaryRecord, PodError> {
    let signals = mover.prepare()?;
    let identity = Identity::read(&args.side.identity)?;
    // Attributes travel with the listing.
    let scan = ScanOptions {
        xattrs: true,
        ..ScanOptions::default()
    };
    let source = LocalSource::from_dir(mover.root()?, scan)?;
    mover.output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: Some(mover.display()),
        ..Start::default()
    }));
    if source.has_reserved_name() {
        mover.output.take(&Record::Note {
            path: EntryPath::new(STATE_DIR),
            kind: RESERVED.to_owned(),
            message: RESERVED_NAME.to_owned(),
        });
    }
    let stop = Stop::new();
    let switch = stop.clone();
    signals.cancel_then_exit(move || switch.stop("the source was asked to end"))?;
    let begun = Instant::now();
    let (output, telling) = (Arc::clone(&mover.output), mover.clone());
    let outcome = push(PushConfig {
        connect: args.connect,
        identity,
        job_uid: args.side.job_uid,
        attempt: args.side.attempt,
        source,
        display: mover.display(),
        patience: PATIENCE,
        progress_deadline: args.side.progress_deadline,
        scan_threads: None,
        on_slow: Arc::new(move |call, path, took| {
            output.take(&Record::Slow {
                call: call.to_owned(),
                path: EntryPath::new(path),
                seconds: took.as_secs_f64(),
            });
        }),
        block_queue: crate::process::blocks_queue(Side::Source),
        stop,
        planes: args.planes.policy(),
        on_tried: Arc::new(move |tried| telling.fell_back(tried)),
    })?;
    let own = SummaryRecord {
        duration_seconds: begun.elapsed().as_secs_f64(),
        zero_copy_share: share(&outcome),
        bytes_sent: outcome.bytes_sent,
        peak_memory: mover.setting(None, 0).peak_memory,
        transport: outcome.summary.transport.clone(),
        tried: status::tried_of(&outcome.summary),
        ..SummaryRecord::default()
    };
    Ok(rpc::pushed(&outcome.summary, own))
}

fn share(outcome: &PushOutcome) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = outcome.bytes_zero_copy as f64 / outcome.bytes_sent as f64;
    (outcome.bytes_sent > 0).then_some(share)
}

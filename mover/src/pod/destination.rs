//! `blit mover destination`: listens, takes one source, and runs the engine on what it sends.

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use blit_crds::mirrorjob::Side;
use blit_crds::outcome;
use blit_engine::run::{self, Cancel, Job, Options, RunIdentity};
use blit_proto::pki::Identity;
use blit_transport::destination::{Destination, Interrupter, ServeConfig, Session};

use super::error::PodError;
use super::side::Mover;
use super::watchdog;
use crate::cli::DestinationArgs;
use crate::report::figures::Figures;
use crate::report::output::{OnFigures, Output, Outputs};
use crate::report::record::{Listen, Record, Start, SummaryRecord};
use crate::report::reporter::Reporter;
use crate::report::{rpc, summary};

/// How long a source is waited for where no progress deadline is given.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How long a run that does not move may take to end when it is cancelled. Longer than a socket needs to
/// find out that the other host is gone (20 s).
const GRACE: Duration = Duration::from_secs(30);

/// Runs the mover to its end. `started` is when the process began.
pub fn run(args: DestinationArgs, started: Instant) -> ExitCode {
    let mover = Mover::new(Side::Destination, args.side.clone(), started);
    let ended = receive(&mover, &args);
    mover.finish(ended)
}

fn receive(mover: &Mover, args: &DestinationArgs) -> Result<SummaryRecord, PodError> {
    let signals = mover.prepare()?;
    let identity = Identity::read(&args.side.identity)?;
    let root = mover.root()?;
    let end = End::default();
    let asked = end.clone();
    let destination = Destination::bind(ServeConfig {
        listen: args.listen,
        data_port: args.data_port,
        identity,
        job_uid: args.side.job_uid.clone(),
        attempt: args.side.attempt,
        on_cancel: Arc::new(move |reason| asked.now(reason)),
    })?;
    let _ = end.waiting.set(destination.interrupter());
    let asked = end.clone();
    signals.cancel_then_exit(move || asked.now("a signal"))?;
    let addresses = destination.addresses();
    let options = Options {
        operation: args.operation.into(),
        max_delete: args.max_delete,
        allow_empty_source: args.allow_empty_source,
        // Success is reported to somebody else, so it must be true after a crash of this node.
        fsync: true,
        workers: None,
    };
    mover.output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(args.operation.as_str().to_owned()),
        source: None,
        destination: Some(mover.display()),
        listen: Some(Listen {
            control: addresses.control.to_string(),
            data: addresses.data.port(),
        }),
    }));
    let session = destination.accept(args.side.progress_deadline.unwrap_or(LONGEST_WAIT))?;
    let begun = Instant::now();
    tracing::info!(source = session.peer().display, "the source has come");
    let record = match session.overlap(root.as_fd())? {
        Some(overlap) => {
            let error = PodError::from(overlap);
            let setting = mover.setting(Some(begun), 0);
            summary::of_failure(error.exit_code(), error.to_string(), &setting)
        }
        None => {
            let reporter = Reporter::new(outputs(mover, args, &destination, &end.cancel)?);
            let job = Job {
                destination: root,
                listing: session.listing(),
                content: session.content(),
                options,
                identity: RunIdentity {
                    run_id: mover.run_id.clone(),
                    source: session.peer().display.clone(),
                    job_uid: Some(args.side.job_uid.clone()),
                    attempt: args.side.attempt,
                },
            };
            run_engine(mover, &session, job, reporter, end.cancel.clone(), begun)
        }
    };
    session.finish(rpc::result(&record));
    Ok(record)
}

fn run_engine(
    mover: &Mover,
    session: &Session,
    job: Job,
    reporter: Reporter<Outputs>,
    cancel: Cancel,
    begun: Instant,
) -> SummaryRecord {
    let ended = run::run(job, Arc::new(reporter), cancel);
    let figures = session.figures();
    let setting = mover.setting(Some(begun), figures.bytes_received);
    SummaryRecord {
        zero_copy_share: (figures.bytes_received > 0).then(|| figures.zero_copy_share()),
        ..summary::of_run(&ended, &setting)
    }
}

/// Events go where they always go, to those who follow progress, and to the watchdog.
fn outputs(
    mover: &Mover,
    args: &DestinationArgs,
    destination: &Destination,
    cancel: &Cancel,
) -> Result<Outputs, PodError> {
    let publisher = destination.progress();
    let outputs = Outputs::default()
        .with(Arc::clone(&mover.output))
        .with(OnFigures(move |figures: &Figures| {
            publisher.publish(rpc::progress(figures))
        }));
    let Some(deadline) = args.side.progress_deadline else {
        return Ok(outputs);
    };
    let (cancel, mover) = (cancel.clone(), mover.clone());
    let feed = watchdog::watch(
        deadline,
        GRACE,
        move || cancel.stall(),
        move || mover.give_up(outcome::ExitCode::Stalled),
    )?;
    Ok(outputs.with(OnFigures(move |figures: &Figures| feed.figures(figures))))
}

/// Ends the mover early: whatever it does, waiting for a source or running.
#[derive(Clone, Default)]
struct End {
    cancel: Cancel,
    waiting: Arc<OnceLock<Interrupter>>,
}

impl End {
    fn now(&self, reason: &str) {
        tracing::info!(reason, "asked to end");
        self.cancel.cancel();
        if let Some(waiting) = self.waiting.get() {
            waiting.interrupt(reason);
        }
    }
}

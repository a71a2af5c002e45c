//! `blit mover destination`: listens, takes one source, and runs the engine on what it sends.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use blit_crds::mirrorjob::{SelectedTransport, Side};
use blit_engine::run::{Cancel, Options, RunIdentity};
use blit_proto::pki::Identity;
use blit_transport::destination::{Destination, Interrupter, ServeConfig};
use blit_transport::planes::Tried;

use super::error::PodError;
use super::side::Mover;
use crate::cli::DestinationArgs;
use crate::reception::Reception;
use crate::report::live::Plane;
use crate::report::output::Output;
use crate::report::record::{Listen, Record, Start, SummaryRecord};
use crate::report::rpc;

/// How long a source is waited for where no progress deadline is given.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Runs the mover to its end. `started` is when the process began.
pub fn run(args: DestinationArgs, started: Instant) -> ExitCode {
    let mover = Mover::new(
        Side::Destination,
        SelectedTransport::Tcp,
        args.side.clone(),
        started,
    );
    let ended = receive(&mover, &args);
    mover.finish(ended)
}

fn receive(mover: &Mover, args: &DestinationArgs) -> Result<SummaryRecord, PodError> {
    let signals = mover.prepare()?;
    let identity = Identity::read(&args.side.identity)?;
    let options = args.write.options()?;
    let (root, was) = mover.destination(options.dry_run)?;
    let end = End::default();
    let asked = end.clone();
    let destination = Destination::bind(ServeConfig {
        listen: args.write.listen,
        data_port: args.data_port,
        identity,
        job_uid: args.side.job_uid.clone(),
        attempt: args.side.attempt,
        verify: args.write.verify,
        on_cancel: Arc::new(move |reason| asked.now(reason)),
    })?;
    let _ = end.waiting.set(destination.interrupter());
    let asked = end.clone();
    signals.cancel_then_exit(move || asked.now("a signal"))?;
    let addresses = destination.addresses();
    mover.output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(args.write.operation.as_str().to_owned()),
        source: None,
        destination: Some(mover.display()),
        listen: Some(Listen {
            control: addresses.control.to_string(),
            data: Some(addresses.data.port()),
        }),
    }));
    let session = destination.accept(args.side.progress_deadline.unwrap_or(LONGEST_WAIT))?;
    let begun = Instant::now();
    tracing::info!(source = session.peer().display, "the source has come");
    let (telling, knowing) = (mover.clone(), mover.clone());
    session.on_tried(move |tried| telling.fell_back(tried));
    let (planes, zero_copy) = (session.planes(), session.bytes_zero_copy());
    let plane = move || {
        let (plane, tried) = planes();
        knowing.travels_by(plane);
        Plane {
            transport: plane.as_str(),
            zero_copy: zero_copy() > 0,
            tried: tried.iter().map(Tried::to_wire).collect(),
        }
    };
    let outputs = mover.outputs(destination.progress(), plane, &end.cancel)?;
    let reception = Reception {
        root,
        options: Options {
            destination: was,
            ..options
        },
        listing: session.listing(),
        identity: RunIdentity {
            run_id: mover.run_id.clone(),
            source: session.peer().display.clone(),
            job_uid: Some(args.side.job_uid.clone()),
            attempt: args.side.attempt,
        },
        begun,
        single_file: false,
    };
    let record = reception.run(&session, outputs, end.cancel.clone());
    mover.travels_by(session.figures().plane);
    session.finish(rpc::result(&record));
    Ok(record)
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

//! `blit mover local`: both volumes in one process, so that no content touches the network.
//!
//! It goes by the identity of the destination and reports like one.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::mirrorjob::{SelectedTransport, Side};
use blit_engine::fs::Dir;
use blit_engine::fs::dir::display_path;
use blit_engine::run::{
    self, Cancel, Content, DestinationRoot, Handles, Job, Options, RunIdentity,
};
use blit_engine::tree::{LocalSource, ScanOptions};
use blit_proto::pki::Identity;
use blit_transport::monitor::{Monitor, MonitorConfig};

use super::error::PodError;
use super::side::{Mover, named, open_volume};
use crate::cli::LocalArgs;
use crate::report::live::Plane;
use crate::report::output::Output;
use crate::report::record::{Listen, Record, Start, SummaryRecord};
use crate::report::reporter::Reporter;
use crate::report::{rpc, summary};
use crate::roots;

/// Runs the mover to its end. `started` is when the process began.
pub fn run(args: LocalArgs, started: Instant) -> ExitCode {
    let mover = Mover::new(
        Side::Destination,
        SelectedTransport::Local,
        args.side.clone(),
        started,
    );
    let ended = copy(&mover, &args);
    mover.finish(ended)
}

fn copy(mover: &Mover, args: &LocalArgs) -> Result<SummaryRecord, PodError> {
    let signals = mover.prepare()?;
    let cancel = Cancel::new();
    let switch = cancel.clone();
    let monitor = Monitor::bind(MonitorConfig {
        listen: args.write.listen,
        identity: Identity::read(&args.side.identity)?,
        on_cancel: Arc::new(move |reason| {
            tracing::info!(reason, "asked to end");
            switch.cancel();
        }),
    })?;
    let switch = cancel.clone();
    signals.cancel_then_exit(move || switch.cancel())?;
    let source = display_path(&named(&args.source_root, &args.source_path));
    let address = monitor.address();
    mover.output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some(args.write.operation.as_str().to_owned()),
        source: Some(source.clone()),
        destination: Some(mover.display()),
        listen: Some(Listen {
            control: address.to_string(),
            data: None,
        }),
    }));
    let options = args.write.options()?;
    let (tree, destination, was) = open(mover, args)?;
    let transport = mover.transport();
    let plane = move || Plane {
        transport,
        zero_copy: false,
        tried: Vec::new(),
    };
    let reporter = Reporter::new(mover.outputs(monitor.progress(), plane, &cancel)?);
    let handles: Arc<dyn Handles> = Arc::clone(&tree) as Arc<dyn Handles>;
    let job = Job {
        destination,
        listing: tree,
        content: Content::Handles(handles),
        options: Options {
            destination: was,
            ..options
        },
        identity: RunIdentity {
            run_id: mover.run_id.clone(),
            source,
            job_uid: Some(args.side.job_uid.clone()),
            attempt: args.side.attempt,
        },
    };
    let ended = run::run(job, Arc::new(reporter), cancel);
    let record = summary::of_run(&ended, &mover.setting(None, 0));
    monitor.finish(rpc::result(&record));
    Ok(record)
}

/// Opens both directories. Nothing is made before it is known that neither lies in the other.
fn open(
    mover: &Mover,
    args: &LocalArgs,
) -> Result<(Arc<LocalSource>, Dir, DestinationRoot), PodError> {
    let role = "the source";
    let (path, source_named) = (
        &args.source_path,
        named(&args.source_root, &args.source_path),
    );
    let volume = open_volume(&args.source_root, role)?;
    let source = roots::open_within(&volume, path, &source_named, role, false)?;
    let destination_named = mover.named();
    // A dry run may have no volume to look at.
    if !args.write.dry_run || args.side.root.exists() {
        let volume = open_volume(&args.side.root, "the destination")?;
        roots::check_within(
            &volume,
            &args.side.path,
            &destination_named,
            &source,
            &source_named,
        )?;
    }
    let (destination, was) = mover.destination(args.write.dry_run)?;
    if was != DestinationRoot::Missing {
        roots::check_apart(&source, &source_named, &destination, &destination_named)?;
    }
    // A mount below the source may lead to the destination all the same; the scan looks out for it.
    let forbidden = (was != DestinationRoot::Missing)
        .then(|| destination.stat_self().ok())
        .flatten()
        .map(|meta| meta.inode());
    let scan = ScanOptions {
        forbidden,
        ..ScanOptions::default()
    };
    Ok((LocalSource::from_dir(source, scan)?, destination, was))
}

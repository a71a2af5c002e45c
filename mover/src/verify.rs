//! `blit verify`: two trees of this host are compared, and nothing is written.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use blit_engine::run::{Cancel, Summary, Verification, verify};
use blit_engine::tree::{LocalSource, ScanOptions};

use crate::process::peak_memory;
use crate::report::differences;
use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Record, Start};
use crate::report::reporter::Reporter;
use crate::report::summary::{self, Setting};
use crate::roots::{self, RootError};
use crate::signals::Signals;

/// Compares everything and returns how it ended. `started` is when the process began.
pub fn run(
    source: &Path,
    destination: &Path,
    workers: Option<usize>,
    output: Outputs,
    started: Instant,
) -> ExitCode {
    let reporter = Arc::new(Reporter::new(output));
    let setting = || Setting {
        since: started,
        transport: "Local",
        bytes_sent: 0,
        peak_memory: peak_memory(),
    };
    let record = match compare(source, destination, workers, &reporter) {
        Ok(ended) => differences::of_verification(&ended, &setting()),
        Err((ExitCode::Usage, message)) => {
            let path = EntryPath::default();
            reporter.output().take(&Record::Error { path, message });
            return ExitCode::Usage;
        }
        Err((code, message)) => summary::of_failure(code, message, &setting()),
    };
    let code = record.code();
    reporter.output().take(&Record::Summary(Box::new(record)));
    code
}

fn compare(
    source: &Path,
    destination: &Path,
    workers: Option<usize>,
    reporter: &Arc<Reporter<Outputs>>,
) -> Result<Summary, (ExitCode, String)> {
    let of_root = |error: RootError| (error.exit_code(), error.to_string());
    let other = |error: std::io::Error| (ExitCode::OtherError, error.to_string());
    let signals = Signals::block().map_err(|error| other(error.into()))?;
    let source_dir = roots::open_source(source).map_err(of_root)?;
    let destination_dir = roots::open_existing_destination(destination).map_err(of_root)?;
    roots::check_apart(&source_dir, source, &destination_dir, destination).map_err(of_root)?;
    let scan = ScanOptions {
        forbidden: destination_dir.stat_self().ok().map(|meta| meta.inode()),
        ..ScanOptions::default()
    };
    let tree = LocalSource::from_dir(source_dir, scan).map_err(|error| of_root(error.into()))?;
    let cancel = Cancel::new();
    let switch = cancel.clone();
    (signals.cancel_then_exit(move || switch.cancel())).map_err(other)?;
    reporter.output().take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some("verify".to_owned()),
        source: Some(display_path(source)),
        destination: Some(display_path(destination)),
        listen: None,
    }));
    let job = Verification {
        source: tree,
        destination: destination_dir,
        workers,
    };
    let events = Arc::clone(reporter);
    Ok(verify(job, events, cancel))
}

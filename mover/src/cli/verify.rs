//! `blit verify`: from arguments to a comparison of two trees of this host.

use std::ffi::OsString;
use std::process;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::run::new_run_id;
use clap::Args;

use super::copy::local_path;
use super::options::{Output, Preview};
use crate::report::differences::Differences;
use crate::verify;

/// `blit verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The directory that is right
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// The directory that should be equal to it
    #[arg(value_name = "DST")]
    pub destination: OsString,
    /// What is said, and where.
    #[command(flatten)]
    pub output: Output,
    /// Use this many worker threads
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
}

impl VerifyArgs {
    /// Compares, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> process::ExitCode {
        let screen = self.output.screen();
        let roots = local_path(self.source).and_then(|s| Ok((s, local_path(self.destination)?)));
        let (source, destination) = match roots {
            Ok(roots) => roots,
            Err(error) => {
                screen.line(&format!("error: {error}"));
                return ExitCode::Usage.into();
            }
        };
        let mut outputs = self
            .output
            .outputs(&screen, &new_run_id(), &Preview::default());
        if !self.output.json && !self.output.quiet {
            outputs = outputs.with(Differences::new(Box::new(std::io::stdout())));
        }
        let workers = self.workers.map(usize::from);
        verify::run(&source, &destination, workers, outputs, started).into()
    }
}

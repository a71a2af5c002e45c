//! `blit diagnostics`: questions about this machine and about earlier runs.

use std::process;

use clap::{Args, Subcommand};

use crate::diagnostics;

/// What can be asked.
#[derive(Subcommand, Debug)]
pub enum DiagnosticsCommand {
    /// Show recent runs on this machine, and where their time went
    ///
    /// The history is a file that never leaves the machine and holds no names of files:
    /// ~/.config/blit/perf_local.jsonl, or below XDG_CONFIG_HOME. BLIT_DISABLE_PERF_HISTORY=1 switches it
    /// off.
    Perf(PerfArgs),
}

/// `blit diagnostics perf`.
#[derive(Args, Clone, Debug)]
pub struct PerfArgs {
    /// Show this many runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub runs: usize,
    /// Print the lines of the history as they are, one object a line (schema blit.perf/v1)
    #[arg(long)]
    pub json: bool,
}

impl DiagnosticsCommand {
    /// Answers, and returns how that ended.
    pub fn run(&self) -> process::ExitCode {
        match self {
            Self::Perf(args) => diagnostics::perf::run(args.runs, args.json).into(),
        }
    }
}

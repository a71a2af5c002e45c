//! `blit diagnostics`: questions about this machine, about earlier runs, and about the way to a daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process;

use clap::{Args, Subcommand};

use super::planes::PlaneArgs;
use super::remote::AccessArgs;
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
    /// Show what this kernel, this sandbox and a directory allow, and what Blit does without
    ///
    /// Each call is tried, in a folder made for that in DIR and removed again.
    Probe(ProbeArgs),
    /// Try the way to a daemon step by step: name, port, TLS, token, version, each data plane; and say what helps
    ///
    /// Over each plane (TCP in the clear, TCP inside TLS, gRPC) zeros are sent for a second each way, and the throughput is
    /// measured; no file is read or written there. For TCP the kernel says what it knows of the path, and what limits the
    /// throughput. What the token does not allow is not tried, and a plane that fails does not keep the next from being
    /// tried. The last step says what a push and a pull with the same options would use. The exit code is that of the
    /// first step that fails.
    Connect(ConnectArgs),
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

/// `blit diagnostics probe`.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// A directory on the file system that matters, as a rule the destination
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// Print one object as JSON (schema blit.probe/v1)
    #[arg(long)]
    pub json: bool,
}

/// `blit diagnostics connect`.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// The daemon, blit://HOST[:PORT]
    #[arg(value_name = "REMOTE")]
    pub remote: OsString,
    /// Print one object as JSON (schema blit.connect/v1)
    #[arg(long)]
    pub json: bool,
    /// By what this side gets in.
    #[command(flatten)]
    pub access: AccessArgs,
    /// How content may travel in the session that is meant.
    #[command(flatten)]
    pub planes: PlaneArgs,
}

/// `blit profile`.
#[derive(Args, Clone, Debug)]
pub struct ProfileArgs {
    /// A directory on the file system that matters
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Print what was measured as it is in the history, as one object (schema blit.perf/v1)
    #[arg(long)]
    pub json: bool,
}

impl ProfileArgs {
    /// Measures, and returns how that ended.
    pub fn run(&self) -> process::ExitCode {
        diagnostics::profile::run(&self.directory, self.json).into()
    }
}

impl DiagnosticsCommand {
    /// Answers, and returns how that ended.
    pub fn run(&self) -> process::ExitCode {
        match self {
            Self::Perf(args) => diagnostics::perf::run(args.runs, args.json).into(),
            Self::Connect(args) => {
                let policy = args.planes.policy();
                diagnostics::connect::run(&args.remote, &args.access, policy, args.json).into()
            }
            Self::Probe(args) => diagnostics::probe::run(&args.directory, args.json).into(),
        }
    }
}

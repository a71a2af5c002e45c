//! The command line of `kubectl blit`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Shows and steers MirrorJobs
///
/// Uses the rights of whoever calls it, and those only.
#[derive(Parser, Debug)]
#[command(
    name = "kubectl-blit",
    bin_name = "kubectl blit",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 error (with `status --wait` also: the job failed), 2 wrong usage."
)]
pub struct Cli {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster and namespace, as for kubectl.
#[derive(Args, Debug, Default)]
pub struct ClusterOptions {
    /// Namespace of the MirrorJob; that of the context if absent
    #[arg(short, long, global = true, value_name = "NAME", help_heading = CLUSTER)]
    pub namespace: Option<String>,

    /// Context of the kubeconfig; the current one if absent
    #[arg(long, global = true, value_name = "NAME", help_heading = CLUSTER)]
    pub context: Option<String>,

    /// The kubeconfig; $KUBECONFIG or ~/.kube/config if absent
    #[arg(long, global = true, value_name = "FILE", help_heading = CLUSTER)]
    pub kubeconfig: Option<PathBuf>,
}

const CLUSTER: &str = "Cluster";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show a MirrorJob, on a terminal until it ends; without NAME list all of the namespace
    ///
    /// On a terminal the view is redrawn in place until the job ends; Ctrl-C leaves the job alone. A share in
    /// percent and a bar appear only when the source has been listed completely, because they would be guesses
    /// before.
    Status(StatusArgs),
    /// Print what the movers said, those of both sides in the order of time
    ///
    /// The events of the movers become readable lines, and of their figures one in ten seconds is shown. Movers of
    /// a completed job are gone; its status is shown instead.
    Logs(LogsArgs),
    /// Say why a MirrorJob waits, fails or is slow, and what to do about it
    ///
    /// Looks at the job, its pods, its claims and their events. What the caller may not read is left out and named
    /// at the end.
    Explain(ExplainArgs),
    /// Print the last status of a MirrorJob and delete it
    ///
    /// Its movers are stopped; what they copied stays at the destination, also a claim made from a template. To
    /// stop for a while, set spec.suspend instead.
    Cancel(CancelArgs),
    /// Make a new MirrorJob NAME-rN from a failed one, which stays as it is
    ///
    /// Spec, labels and annotations are copied. What is at the destination already is not copied again.
    Retry(RetryArgs),
}

/// Options of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The MirrorJob
    pub name: Option<String>,

    /// List those of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    pub all_namespaces: bool,

    /// Follow the job on a terminal until it ends; false shows it once
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub watch: bool,

    /// Wait for the end also without a terminal; exit with 1 if the job failed
    #[arg(long, requires = "name")]
    pub wait: bool,

    /// Print the object itself
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// How an object is printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

/// Options of `logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The MirrorJob
    pub name: String,

    /// Go on with what is said from now on, through all attempts, until the job ends
    #[arg(short, long)]
    pub follow: bool,

    /// Number of the attempt; the last one whose pods are there if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,

    /// Only the mover of one side; one that has both volumes belongs to either
    #[arg(long)]
    pub side: Option<SideOption>,

    /// Print the lines as the movers wrote them
    #[arg(long)]
    pub raw: bool,
}

/// A side of a job.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideOption {
    /// The mover that reads.
    Source,
    /// The mover that writes.
    Destination,
}

/// Options of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The MirrorJob
    pub name: String,
}

/// Options of `cancel`.
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// The MirrorJob
    pub name: String,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// Return when the movers have ended and the job is gone; false returns at once
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub wait: bool,
}

/// Options of `retry`.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// The failed MirrorJob
    pub name: String,
}

#[cfg(test)]
mod tests;

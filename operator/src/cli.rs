//! The command line of `blit-operator`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Image of the movers, of the release that this program belongs to.
pub const DEFAULT_IMAGE: &str = concat!("ghcr.io/blit-dev/blit:", env!("CARGO_PKG_VERSION"));

/// The operator of MirrorJobs.
#[derive(Parser, Debug)]
#[command(name = "blit-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Carry out the MirrorJobs of a cluster, until asked to end.
    ///
    /// Every replica runs this; the one that holds the Lease does the work.
    Run(RunOptions),

    /// Print the objects of the first attempt of a MirrorJob, for review or `kubectl apply`.
    ///
    /// Uses no network and no cluster. The destination comes first; once its pod is Ready, call again with
    /// its address for the pod of the source. The output holds private keys.
    Render(RenderOptions),
}

/// Options of `run`.
#[derive(Args, Debug)]
pub struct RunOptions {
    /// The configuration, as the chart writes it.
    #[arg(long, value_name = "FILE", default_value = "/etc/blit/operator.yaml")]
    pub config: PathBuf,

    /// Name of this pod.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: String,

    /// Namespace of this pod.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: String,
}

/// Options of `render`.
#[derive(Args, Debug)]
pub struct RenderOptions {
    /// Manifest of the MirrorJob; `-` reads standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub manifest: PathBuf,

    /// Image of the movers, best by digest.
    #[arg(long, default_value = DEFAULT_IMAGE)]
    pub image: String,

    /// Address of the destination's pod: print the pod of the source, which dials it.
    #[arg(long, value_name = "ADDRESS")]
    pub destination_address: Option<IpAddr>,

    /// Directory of the nodes below which hostPath is allowed; can be given several times.
    #[arg(long, value_name = "DIRECTORY")]
    pub allow_host_path: Vec<String>,
}

//! `blit run`: from arguments to a MirrorJob on this host.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::options::Output;
use crate::embedded::volumes::{InvalidVolume, Volume};
use crate::embedded::{self, Request};

/// `blit run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The manifest of a MirrorJob; `-` is stdin
    #[arg(short = 'f', long = "filename", value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Directory that stands for a claim [default: ./volumes/CLAIM]
    #[arg(long = "volume", value_name = "CLAIM=DIR", value_parser = volume())]
    pub volumes: Vec<Volume>,
    /// What is said, and where.
    #[command(flatten)]
    pub output: Output,
}

impl RunArgs {
    /// Runs the job, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> ExitCode {
        embedded::run(
            &Request {
                manifest: self.manifest,
                volumes: self.volumes,
                output: self.output,
            },
            started,
        )
        .into()
    }
}

fn volume() -> impl TypedValueParser<Value = Volume> {
    OsStringValueParser::new()
        .try_map(|text: OsString| -> Result<Volume, InvalidVolume> { text.as_os_str().try_into() })
}

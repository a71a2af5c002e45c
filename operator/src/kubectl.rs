//! The plugin `kubectl blit`: what a person asks about MirrorJobs, and does to them.
//!
//! It talks to the API server only, with the rights of the caller, and works without the operator. What is
//! shown follows from objects by pure functions: a status becomes [`text`], findings become an explanation,
//! lines of a log become sentences; around them thin shells read and write.
//!
//! Invariants: results go to stdout, remarks and errors to stderr; nothing is changed in the cluster but by `cancel`
//! and `retry`; texts from the cluster cannot act on the terminal.
//!
//! Non-goals: installing, and everything that kubectl does as well.

mod cancel;
pub mod cli;
mod error;
mod explain;
#[cfg(test)]
mod fixtures;
mod logs;
mod output;
mod proxy;
mod retry;
mod session;
mod status;
mod text;

pub use error::PluginError;

use self::cli::{Cli, Command};
use self::output::Output;
use self::session::Session;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// As asked, and the job that was waited for failed.
    JobFailed,
}

/// Carries out a command.
///
/// # Errors
/// Fails when it cannot be carried out; the error says what to do.
pub async fn run(cli: Cli) -> Result<Outcome, PluginError> {
    let session = Session::open(&cli.cluster).await?;
    let output = Output::stdout();
    match cli.command {
        Command::Status(args) => return status::run(&session, output, &args).await,
        Command::Logs(args) => logs::run(&session, output, &args).await?,
        Command::Explain(args) => explain::run(&session, output, &args).await?,
        Command::Cancel(args) => cancel::run(&session, output, &args).await?,
        Command::Retry(args) => retry::run(&session, output, &args).await?,
    }
    Ok(Outcome::Done)
}

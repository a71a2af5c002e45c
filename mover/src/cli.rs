//! The command line: what can be typed, and which part of the program it leads to.
//!
//! Invariant: an argument is interpreted here or handed on as it is, never both. Usage errors end with
//! exit code 2 before anything is touched.

mod copy;
mod diagnostics;
mod documents;
mod list;
mod mover;
pub mod operand;
pub mod options;
mod ping;
pub mod planes;
mod purge;
mod push;
pub mod remote;
mod remote_error;
mod run;
mod selection;
mod serve;
mod verify;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

pub use copy::{CopyArgs, MirrorArgs, PullArgs};
pub use diagnostics::{DiagnosticsCommand, ProfileArgs};
pub use documents::{CompletionsArgs, ManArgs};
pub use list::ListArgs;
pub use mover::{DestinationArgs, LocalArgs, MoverCommand, SideArgs, SourceArgs, WriteArgs};
pub use ping::PingArgs;
pub use purge::PurgeArgs;
pub use push::PushArgs;
pub use run::RunArgs;
pub use selection::SelectionError;
pub use serve::{IssueArgs, ServeArgs};
pub use verify::VerifyArgs;

/// Mirrors directory trees: on one host, and between volumes and nodes of a Kubernetes cluster
///
/// Local commands use no network.
#[derive(Parser, Debug)]
#[command(name = "blit", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The codes in short; the reference says what to do.
const EXIT_CODES: &str = "Exit codes: 0 complete, 1 another error, 2 wrong usage, 10 some entries failed, 11 deletions withheld, \
    12 refused by the guard, 13 files changed while they were read, 14 verify found differences, 20 destination full, 21 permission \
    denied, 30 the other side cannot be reached or was lost, 31 not authenticated or not allowed, 32 no common version, 40 nothing \
    moved any more, 41 out of time, 130 interrupted.";

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Copy the content of a directory, or one file; delete nothing
    ///
    /// A directory SRC means its content, with or without a slash at its end. What exists only at DST
    /// stays. Missing parents of DST are made.
    Copy(CopyArgs),
    /// Make DST equal to SRC; delete what SRC does not have
    ///
    /// Deletions come last, and only below directories of SRC that could be listed completely. A guard
    /// refuses (exit code 12) to mirror an empty source, a source that has nothing in common with DST,
    /// and more deletions than --max-delete allows.
    Mirror(MirrorArgs),
    /// Copy from this host to a daemon on another; with --mirror also delete
    ///
    /// The same as `copy`, or `mirror`, with a destination blit://HOST[:PORT]/PATH. A daemon is what `blit serve`
    /// runs; it decides, writes and deletes, and what it tells is shown as that of a run on this host.
    Push(PushArgs),
    /// Copy from a daemon on another host to this one; with --mirror also delete
    ///
    /// The same as `copy`, or `mirror`, with a source blit://HOST[:PORT]/PATH. A daemon is what `blit serve`
    /// runs.
    Pull(PullArgs),
    /// Compare two directories completely, and write nothing
    ///
    /// Compares kinds, content byte by byte, targets of links, owners, modes, times, extended attributes and
    /// ACLs, hard links, and what only DST has. Prints each difference on a line of stdout: what differs,
    /// and where. Exit code 14 if there is any, 10 if something could not be read.
    Verify(VerifyArgs),
    /// List a directory at a daemon, as `ls -l` does
    ///
    /// Owners are numbers. A daemon is what `blit serve` runs.
    List(ListArgs),
    /// Remove files and directories at a daemon
    ///
    /// Each PATH is removed with all that is below it, never the root. Asks before, unless --yes is given.
    Purge(PurgeArgs),
    /// Ask a daemon who it is, how far away, and what you may do there
    Ping(PingArgs),
    /// Serve a directory to clients on other hosts, or make tokens for them
    ///
    /// Runs until it is asked to end (SIGTERM). Who may do what is in tokens that the daemon signs, or in
    /// certificates: see --issue-token. Started under the name `blitd`, as by a link, the program is
    /// this command.
    Serve(ServeArgs),
    /// Run a MirrorJob manifest on this host, without a cluster
    ///
    /// Each claim is a directory, each mover a process that listens on loopback only. Prints the
    /// MirrorJob with its status as YAML.
    Run(RunArgs),
    /// Show what earlier runs took, and what this machine allows
    #[command(subcommand)]
    Diagnostics(DiagnosticsCommand),
    /// Measure this machine in a directory: small files, a large file, single blocks made durable
    ///
    /// Writes about 160 MB into a folder of DIR and removes it. The figures go into the history of this
    /// machine, see `blit diagnostics perf`.
    Profile(ProfileArgs),
    /// Print completions for a shell
    ///
    /// For bash: blit completions bash > ~/.local/share/bash-completion/completions/blit
    Completions(CompletionsArgs),
    /// Write the manual: one page for each command
    ///
    /// To read a page: blit man /tmp/man, then man /tmp/man/blit-mirror.1
    Man(ManArgs),
    /// One side of a MirrorJob, or both, as a pod runs it
    #[command(subcommand)]
    Mover(MoverCommand),
}

/// Name of the link that means `blit serve`.
const DAEMON: &str = "blitd";

impl Cli {
    /// Parses the command line of this process; ends it where that is wrong. Under the name `blitd` the
    /// program serves.
    pub fn of_process() -> Self {
        Self::parse_from(words(std::env::args_os()))
    }

    /// Does what was asked. `started` is when the process began, for the time to the first byte.
    pub fn run(self, started: Instant) -> ExitCode {
        match self.command {
            Command::Copy(args) => args.run(started),
            Command::Mirror(args) => args.run(started),
            Command::Push(args) => args.run(started),
            Command::Pull(args) => args.run(started),
            Command::Purge(args) => args.run(),
            Command::Verify(args) => args.run(started),
            Command::List(args) => args.run(),
            Command::Ping(args) => args.run(),
            Command::Serve(args) => args.run(),
            Command::Run(args) => args.run(started),
            Command::Diagnostics(command) => command.run(),
            Command::Profile(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
            Command::Mover(command) => command.run(started),
        }
    }
}

/// Returns the words of a command line, with the command that the name of the program stands for.
fn words(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<_> = given.into_iter().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    if name == Some(OsStr::new(DAEMON)) {
        words.insert(1, "serve".into());
    }
    words
}

/// Prints to stdout. A reader that went away has what it wanted.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests;

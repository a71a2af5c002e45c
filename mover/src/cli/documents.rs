//! `blit completions` and `blit man`: what is made from the definitions of the command line, for shells and
//! for `man`.
//!
//! Invariant: both are generated, so they cannot say anything else than `--help` does. The manual alone also
//! names the limiters that `--help` hides, under "Advanced / Niche".

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use crate::report::terminal::say;

/// Options that `--help` hides and the manual does not.
const LIMITERS: [&str; 2] = ["workers", "max_threads"];

/// `blit completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// `blit man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Directory to write the pages to; it is made if it is missing
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// A page that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}; name a directory that you may write to", display_path(.path))]
struct PageError {
    path: PathBuf,
    source: io::Error,
}

impl CompletionsArgs {
    /// Prints the completions.
    pub fn run(&self) -> process::ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "blit", &mut script);
        // A reader that went away has what it wanted.
        let _ = io::stdout().write_all(&script);
        ExitCode::Complete.into()
    }
}

impl ManArgs {
    /// Writes the pages.
    pub fn run(&self) -> process::ExitCode {
        match write(&self.directory) {
            Ok(()) => ExitCode::Complete.into(),
            Err(error) => {
                say(&format!("error: {error}"));
                ExitCode::OtherError.into()
            }
        }
    }
}

fn write(directory: &Path) -> Result<(), PageError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| PageError { path, source }
    };
    std::fs::create_dir_all(directory).map_err(failed(directory))?;
    for (name, text) in pages().map_err(failed(directory))? {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// Returns the manual: the names and texts of its pages, one for each command.
pub(super) fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = with_limiters(Cli::command()).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().cloned());
        let man = Man::new(command)
            .manual("Blit")
            .source(concat!("blit ", env!("CARGO_PKG_VERSION")));
        let mut text = Vec::new();
        man.render(&mut text)?;
        pages.push((man.get_filename(), text));
    }
    Ok(pages)
}

fn with_limiters(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| match LIMITERS.contains(&arg.get_id().as_str()) {
            true => arg.hide(false),
            false => arg,
        })
        .mut_subcommands(with_limiters)
}

//! `blit purge`: removes what was named at a daemon.

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::process;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::Escaped;
use blit_proto::v2::PurgeResponse;
use blit_transport::path::{InvalidPath, RelPath};
use clap::Args;
use serde::Serialize;

use super::remote::{AccessArgs, RemoteUrl};
use super::remote_error::RemoteError;
use crate::report::terminal::say;
use crate::report::text;

/// `blit purge`.
#[derive(Args, Clone, Debug)]
pub struct PurgeArgs {
    /// A directory at a daemon: blit://HOST[:PORT]/PATH
    #[arg(value_name = "REMOTE")]
    pub remote: OsString,
    /// What to remove in it, of any kind, with all that is below
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
    /// Remove nothing, and say how much would be removed
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Print one object as JSON (schema blit.purge/v1)
    #[arg(long)]
    pub json: bool,
    /// By what this side gets in.
    #[command(flatten)]
    pub access: AccessArgs,
}

/// What a purge came to, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Purge {
    schema: &'static str,
    removed: u64,
    failed: u64,
    dry_run: bool,
}

impl PurgeArgs {
    /// Asks the person, then the daemon; returns how that ended.
    pub fn run(self) -> process::ExitCode {
        match self.purge() {
            Ok(code) => code.into(),
            Err(error) => {
                say(&format!("error: {error}"));
                error.exit_code().into()
            }
        }
    }

    fn purge(&self) -> Result<ExitCode, RemoteError> {
        let url = RemoteUrl::parse(&self.remote)?;
        let paths = self.named(&url)?;
        let remote = url.remote(self.access.access()?);
        if !self.yes && !self.dry_run {
            if !std::io::stdin().is_terminal() {
                return Err(RemoteError::NobodyToAsk);
            }
            let would = remote.purge(paths.clone(), true)?;
            let named = self
                .paths
                .iter()
                .map(|path| Escaped(path.as_bytes()).to_string());
            say(&format!(
                "remove {} at {url}: {}? [y/N] ",
                text::entries(would.removed),
                named.collect::<Vec<_>>().join(", ")
            ));
            if !agreed(&mut std::io::stdin().lock()) {
                say("nothing was removed");
                return Ok(ExitCode::Complete);
            }
        }
        let done = remote.purge(paths, self.dry_run)?;
        self.say(&done);
        Ok(match done.failed {
            0 => ExitCode::Complete,
            _ => ExitCode::EntriesFailed,
        })
    }

    /// Returns the paths below the root of the daemon.
    fn named(&self, url: &RemoteUrl) -> Result<Vec<Vec<u8>>, InvalidPath> {
        let directory = RelPath::new(url.path())?;
        let below = |path: &OsString| {
            let path = RelPath::new(path.as_bytes())?;
            match path.is_root() {
                true => Err(InvalidPath::Name(url.to_string())),
                false => Ok(directory.join(&path.to_bytes())?.to_bytes()),
            }
        };
        self.paths.iter().map(below).collect()
    }

    fn say(&self, done: &PurgeResponse) {
        for failed in &done.failures {
            // Escaped again: it comes from elsewhere.
            let (path, error) = (
                Escaped(failed.path.as_bytes()),
                Escaped(failed.error.as_bytes()),
            );
            say(&format!("error: {path}: {error}"));
        }
        let line = match self.json {
            true => {
                let purge = Purge {
                    schema: "blit.purge/v1",
                    removed: done.removed,
                    failed: done.failed,
                    dry_run: self.dry_run,
                };
                serde_json::to_string(&purge).unwrap_or_default()
            }
            false => {
                let verb = if self.dry_run {
                    "would remove"
                } else {
                    "removed"
                };
                let failed = match done.failed {
                    0 => String::new(),
                    failed => format!("; {} failed", text::count(failed)),
                };
                format!("{verb} {}{failed}", text::entries(done.removed))
            }
        };
        super::print(&line);
    }
}

/// Reads the answer of a person; anything but yes is no.
fn agreed(answer: &mut dyn BufRead) -> bool {
    let mut line = String::new();
    let read = answer.read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::agreed;

    #[test]
    fn anything_but_yes_is_no() {
        for (answer, expected) in [
            ("y\n", true),
            ("YES\n", true),
            ("", false),
            ("\n", false),
            ("yo", false),
        ] {
            assert_eq!(agreed(&mut answer.as_bytes()), expected, "{answer:?}");
        }
    }
}

//! `blit push`: `copy`, or `mirror`, to a daemon.

use std::process;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::run::Operation;
use clap::Args;

use super::copy::Trees;
use super::options::Deletion;
use super::remote::RemoteUrl;

/// `blit push`.
#[derive(Args, Clone, Debug)]
pub struct PushArgs {
    /// Delete at DST what SRC does not have, as `mirror` does
    #[arg(long)]
    pub mirror: bool,
    /// What may be deleted.
    // Before what ends with a heading, under which it would be listed.
    #[command(flatten)]
    pub deletion: Deletion,
    /// What to push, and where to.
    #[command(flatten)]
    pub trees: Trees,
}

impl PushArgs {
    /// Pushes, and returns how it ended. `started` is when the process began.
    pub fn run(self, started: Instant) -> process::ExitCode {
        let refused = if !RemoteUrl::is_remote(&self.trees.destination) {
            Some(format!(
                "error: `{}` is on this host; push writes to another, blit://HOST[:PORT]/PATH, and `blit copy` copies \
                 on one",
                self.trees.destination.to_string_lossy().escape_debug()
            ))
        } else if !self.mirror && self.deletion.is_given() {
            Some(
                "error: --max-delete, --allow-empty-source and --delete-excluded are about deletions, and without \
                 --mirror a push deletes nothing"
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(refused) = refused {
            self.trees.output.screen().line(&refused);
            return ExitCode::Usage.into();
        }
        let operation = match self.mirror {
            true => Operation::Mirror,
            false => Operation::Copy,
        };
        self.trees.run(operation, &self.deletion, started)
    }
}

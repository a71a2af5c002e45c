//! The `blit` program: installs what is global, parses, runs, and returns the exit code.

use std::process::ExitCode;
use std::time::Instant;

use blit::cli::Cli;

fn main() -> color_eyre::Result<ExitCode> {
    let started = Instant::now();
    color_eyre::install()?;
    // Two crates of the tree bring TLS; without this the first handshake would have to guess. An error
    // means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // A panic has been reported by then; what is left is a code that scripts and pods know.
    let ended = std::panic::catch_unwind(|| Cli::of_process().run(started));
    Ok(ended.unwrap_or_else(|_| blit_crds::outcome::ExitCode::OtherError.into()))
}

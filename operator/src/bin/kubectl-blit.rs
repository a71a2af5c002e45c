//! The program `kubectl-blit`, which kubectl runs as `kubectl blit`.

use std::process::ExitCode;

use blit_operator::kubectl::cli::Cli;
use blit_operator::kubectl::{self, Outcome};
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "the edge of the program")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Fails only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match kubectl::run(cli).await {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::JobFailed) => ExitCode::FAILURE,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            let prefix = if text.starts_with("Error") {
                ""
            } else {
                "error: "
            };
            eprintln!("{prefix}{text}");
            ExitCode::FAILURE
        }
    }
}

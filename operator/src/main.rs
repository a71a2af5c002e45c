//! The program `blit-operator`.

use std::process::ExitCode;

use blit_operator::cli::{Cli, Command};
use blit_operator::render;
use clap::Parser;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the edge of the program"
)]
fn main() -> ExitCode {
    let Command::Render(options) = Cli::parse().command;
    match render::run(&options) {
        Ok(rendered) => {
            print!("{}", rendered.yaml);
            eprintln!("{}", rendered.next_step);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code().into()
        }
    }
}

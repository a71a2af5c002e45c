//! The program `blit-operator`.

use std::process::ExitCode;

use blit_operator::cli::{Cli, Command};
use blit_operator::{render, run};
use clap::Parser;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(options) => run::main(options),
        Command::Render(options) => render::main(&options),
    }
}

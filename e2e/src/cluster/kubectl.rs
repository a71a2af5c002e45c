//! Command lines that a user would type: kubectl, its plugin, Helm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::env::{Env, repository};
use super::error::{Error, Result};
use crate::process;

/// Patience with a command.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The command line.
    pub line: String,
    /// Exit code, if it was not killed.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs kubectl with the administrator's rights.
pub async fn kubectl(env: &Env, arguments: &[&str]) -> Result<Said> {
    let mut command = Command::new(env.get("KUBECTL")?);
    command.args(arguments);
    run(env, command).await
}

/// Runs `kubectl blit`, as kubectl finds it in the path.
pub async fn plugin(env: &Env, arguments: &[&str]) -> Result<Said> {
    let folder = built()?;
    let program = folder.join("kubectl-blit");
    if !program.exists() {
        let remedy = "build it with `cargo build -p blit-operator --bin kubectl-blit`";
        return Err(Error::Setup(format!("no {}: {remedy}", program.display())));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(env.get("KUBECTL")?);
    command.arg("blit").args(arguments);
    command.env("PATH", format!("{}:{path}", folder.display()));
    command.env("NO_COLOR", "1");
    run(env, command).await
}

/// Runs Helm with the administrator's rights.
pub async fn helm(env: &Env, arguments: &[&str]) -> Result<Said> {
    let mut command = Command::new(env.get("HELM")?);
    command.args(arguments);
    run(env, command).await
}

impl Said {
    /// Returns standard output of a command that must have succeeded.
    pub fn ok(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        Err(Error::Command {
            line: self.line,
            status: format!("{:?}", self.code),
            output: self.stdout + &self.stderr,
        })
    }

    /// Returns both outputs.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Returns the folder of the programs that were built with this test: wherever `CARGO_TARGET_DIR` was when it was compiled.
fn built() -> Result<PathBuf> {
    let test = std::env::current_exe().map_err(Error::io("find the program of this test"))?;
    let folder = test.ancestors().find(|folder| folder.ends_with("deps"));
    folder
        .and_then(Path::parent)
        .map(Path::to_path_buf)
        .ok_or_else(|| Error::Setup(format!("{} is in no folder `deps`", test.display())))
}

async fn run(env: &Env, mut command: Command) -> Result<Said> {
    command.env("KUBECONFIG", env.get("KUBECONFIG")?);
    command.current_dir(repository());
    // The runtime of the test has one thread: others on it must go on.
    let ended = tokio::task::spawn_blocking(move || {
        let running = process::start(command)?;
        running.finish_within(PATIENCE)
    });
    let ended = match ended.await {
        Ok(ended) => ended?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    Ok(Said {
        line: ended.line,
        code: ended.code,
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
    })
}

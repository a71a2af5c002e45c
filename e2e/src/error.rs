//! The one error type of the test tools: what was attempted, on what, and why it failed.

use std::io;
use std::path::Path;

/// Failure of a test tool; never a finding about Blit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call on a path failed.
    #[error("cannot {action} {path}: {source}")]
    Path {
        /// What was attempted, as an infinitive.
        action: &'static str,
        /// The path, escaped.
        path: String,
        /// The answer of the kernel.
        source: io::Error,
    },
    /// A program that the tests need did not start.
    #[error("cannot start {program}: {source}; install the Debian package {package}")]
    Start {
        /// The program.
        program: String,
        /// The package that has it.
        package: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// A program that the tests need ended with an error.
    #[error("{program} ended with {status}: {stderr}")]
    Tool {
        /// The command line.
        program: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The machine is not fit for the tests.
    #[error("{0}")]
    Machine(String),
    /// A program under watch did not do in time what was waited for.
    #[error("{program} did not {what} within {seconds} s; stdout: {stdout}; stderr: {stderr}")]
    Deadline {
        /// The command line.
        program: String,
        /// What was waited for, as an infinitive.
        what: String,
        /// The patience, in seconds.
        seconds: u64,
        /// Standard output so far, the last part.
        stdout: String,
        /// Standard error so far, the last part.
        stderr: String,
    },
}

/// Result of a test tool.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds to an error what was attempted and on which path.
pub(crate) trait Context<T> {
    /// Names the action (an infinitive) and the path.
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Path {
            action,
            path: escaped(path),
            source: error.into(),
        })
    }
}

/// Returns a path with everything outside printable ASCII escaped.
pub(crate) fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().escape_ascii().to_string()
}

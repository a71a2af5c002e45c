//! Why a step of a test on the cluster did not succeed.

/// Failure of a step; a test returns it with `?` and its report shows it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cluster, or it is not as the tests need it.
    #[error("{0}")]
    Setup(String),
    /// The API server refused a request or could not be reached.
    #[error("the API server: {}", said(.0))]
    Kube(Box<kube::Error>),
    /// What was waited for did not happen in time.
    #[error("waited {seconds} s for {what}; last seen:\n{last}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// The patience, in seconds.
        seconds: u64,
        /// The last state that was seen.
        last: String,
    },
    /// What was waited for cannot happen any more.
    #[error("{what} will not happen:\n{last}")]
    Hopeless {
        /// What was waited for.
        what: String,
        /// The state that excludes it.
        last: String,
    },
    /// A program of the machine ended with an error.
    #[error("{line} ended with {status}:\n{output}")]
    Command {
        /// The command line.
        line: String,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A manifest of a test cannot be read.
    #[error("the manifest of the test: {0}")]
    Manifest(String),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, on what.
        what: String,
        /// The answer of the kernel.
        source: std::io::Error,
    },
    /// A tool of the tests failed.
    #[error(transparent)]
    Tool(#[from] crate::error::Error),
}

/// Result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}

impl Error {
    /// Says what was attempted when a system call failed.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Returns the status code of the API server's refusal, if it was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Kube(error) => match error.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Returns what the API server said; its errors show the whole answer twice.
fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.message),
        other => other.to_string(),
    }
}

//! What keeps a command from being carried out.

use std::io;

use kube::config::KubeconfigError;
use kube::runtime::watcher;
use thiserror::Error;

use super::session::RESOURCE;

/// A command that was not carried out.
#[derive(Debug, Error)]
pub enum PluginError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig: {}; see `kubectl config view`, or name one with --kubeconfig and --context", chain(.0))]
    Kubeconfig(#[from] KubeconfigError),
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster is configured: {0}; set KUBECONFIG or give --kubeconfig")]
    NoCluster(String),
    /// The API server refused, or could not be asked.
    #[error("{}", said(.0))]
    Api(#[from] kube::Error),
    /// An object cannot be followed.
    #[error(
        "cannot follow {RESOURCE} \"{name}\": {cause}; the rights to list and watch are needed"
    )]
    NotFollowed {
        /// The job.
        name: String,
        /// What the API server said.
        cause: String,
    },
    /// There is no such job.
    #[error("Error from server (NotFound): {RESOURCE} \"{name}\" not found{}", alternatives(.namespace, .others.as_deref(), .elsewhere))]
    NotFound {
        /// The name that was given.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// The names that exist there; absent if they may not be listed.
        others: Option<Vec<String>>,
        /// Namespaces that have one of this name, as far as they may be looked at.
        elsewhere: Vec<String>,
    },
    /// The cluster does not know the kind.
    #[error(
        "the cluster does not know MirrorJobs: the definition {RESOURCE} is not installed; an administrator installs it \
         with the operator: helm install blit charts/blit --namespace blit-system --create-namespace"
    )]
    NotInstalled,
    /// The object is of another version.
    #[error(
        "cannot read {RESOURCE} \"{name}\": {cause}; this plugin may be older than the operator"
    )]
    Unreadable {
        /// The job.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// The job went away while it was followed.
    #[error("{RESOURCE} \"{0}\" was deleted")]
    Deleted(String),
    /// Nobody is there to ask.
    #[error("nobody can be asked whether to delete {RESOURCE} \"{0}\"; give --yes")]
    NobodyToAsk(String),
    /// The answer was no.
    #[error("not deleted")]
    Declined,
    /// Only a failed job can be tried again.
    #[error("{RESOURCE} \"{name}\" is {phase}, and only a failed one is retried; {remedy}")]
    NotFailed {
        /// The job.
        name: String,
        /// Its phase.
        phase: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Names run out.
    #[error(
        "all names like \"{0}-rN\" that were tried exist by now; delete old ones, or make the MirrorJob under a name of your own"
    )]
    NoFreeName(String),
    /// The object cannot be printed.
    #[error("cannot print the object: {0}")]
    Print(String),
    /// The result cannot be written.
    #[error("cannot write the result: {0}")]
    Write(#[from] io::Error),
}

impl PluginError {
    /// Returns whether whoever reads the output has gone away, as `head` does. That is no error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Returns what the API server said, as kubectl does, or why it could not be asked.
pub(super) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.reason.is_empty() => {
            format!("Error from server: {}", status.message)
        }
        kube::Error::Api(status) => {
            format!("Error from server ({}): {}", status.reason, status.message)
        }
        kube::Error::Service(cause) => format!("cannot ask the API server: {}", chain(&**cause)),
        other => format!("cannot ask the API server: {}", chain(other)),
    }
}

/// Returns why an object cannot be followed at the moment, and whether that will stay so.
pub(super) fn interruption(error: &watcher::Error) -> (String, bool) {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => (said(error), is_refusal(error)),
        watcher::Error::WatchError(status) => (status.message.clone(), status.code == 403),
        watcher::Error::NoResourceVersion => (error.to_string(), false),
    }
}

/// Returns whether the API server knows the caller and says no.
pub(super) fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// An error and its causes, each once: wrappers tend to repeat what they wrap.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    text
}

/// Names listed at most.
const LISTED: usize = 20;

fn alternatives(namespace: &str, others: Option<&[String]>, elsewhere: &[String]) -> String {
    let mut text = match others {
        None => String::new(),
        Some([]) => format!("\nNamespace {namespace} has no MirrorJob."),
        Some(names) => {
            let shown = names[..names.len().min(LISTED)].join(", ");
            let more = if names.len() > LISTED { ", …" } else { "" };
            format!("\nNamespace {namespace} has: {shown}{more}")
        }
    };
    if !elsewhere.is_empty() {
        let flags: Vec<_> = elsewhere.iter().map(|name| format!("-n {name}")).collect();
        text.push_str(&format!(
            "\nThere is one of this name with {}.",
            flags.join(" or ")
        ));
    }
    text
}

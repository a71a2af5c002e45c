//! From a `MirrorJob` to the command lines of its two movers.
//!
//! The operator and `blit run -f` both come through here, so a field of the manifest reaches a mover
//! in one way only. What the movers are told beyond the spec (where the volume is mounted, whom to
//! dial) is the [`MoverContext`]; the spec is expected to have passed [`crate::validation`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::mirrorjob::{Destination, MaxDeleteError, MirrorJobSpec, Operation, Side, Source};

#[cfg(test)]
mod tests;

/// Port on which a destination mover in a pod listens for the control plane.
pub const CONTROL_PORT: u16 = 9031;
/// Port on which a destination mover in a pod listens for data.
pub const DATA_PORT: u16 = 9032;

/// What one mover needs to know beyond the spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoverContext {
    /// Directory where the volume of this side is mounted.
    pub root: PathBuf,
    /// The part of a hostPath that `root` stands for: the prefix that is mounted in a pod, `/` where
    /// `root` is the root of the host. Without meaning for claims.
    pub host_prefix: String,
    /// Directory with `ca.crt`, `tls.crt` and `tls.key` of this side.
    pub identity: PathBuf,
    /// UID of the MirrorJob.
    pub job_uid: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// File that receives the last word of the mover.
    pub termination_message: Option<PathBuf>,
}

/// A spec that cannot be turned into a command line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArgumentError {
    /// The hostPath is not below what is mounted.
    #[error(
        "hostPath `{path}` is not below `{prefix}`, which is what the mover can see; allow a prefix of the path"
    )]
    OutsidePrefix {
        /// The path of the spec.
        path: String,
        /// What is mounted.
        prefix: String,
    },
    /// `spec.deletion.maxDelete` cannot be read.
    #[error("spec.deletion.maxDelete: {0}; write a count or a share in quotes")]
    MaxDelete(#[from] MaxDeleteError),
}

/// Returns the arguments of the destination mover, without the name of the program.
///
/// # Errors
/// Fails when a hostPath is outside the context's prefix or `maxDelete` cannot be read.
pub fn destination(
    spec: &MirrorJobSpec,
    context: &MoverContext,
    listen: SocketAddr,
    data_port: u16,
) -> Result<Vec<OsString>, ArgumentError> {
    let path = match &spec.destination {
        Destination::PersistentVolumeClaim(claim) => claim.path.clone(),
        Destination::HostPath(host) => below_prefix(&host.path, &context.host_prefix)?,
        Destination::Nodes(nodes) => below_prefix(&nodes.path, &context.host_prefix)?,
    };
    let mut line = Line::new(Side::Destination, context, &path);
    line.option(
        "--operation",
        match spec.operation {
            Operation::Mirror => "mirror",
            Operation::Copy => "copy",
        },
    );
    line.option("--listen", listen.to_string());
    line.option("--data-port", data_port.to_string());
    line.identity(context);
    if spec.operation == Operation::Mirror {
        if let Some(limit) = spec.deletion.limit()? {
            line.option("--max-delete", limit.to_string());
        }
        if spec.deletion.allow_empty_source {
            line.flag("--allow-empty-source");
        }
    }
    Ok(line.finish(spec, context))
}

/// Returns the arguments of the source mover, without the name of the program. `connect` is
/// `HOST:PORT` of the destination's control plane, IPv6 in brackets.
///
/// # Errors
/// Fails when a hostPath is outside the context's prefix.
pub fn source(
    spec: &MirrorJobSpec,
    context: &MoverContext,
    connect: &str,
) -> Result<Vec<OsString>, ArgumentError> {
    let path = match &spec.source {
        Source::PersistentVolumeClaim(claim) => claim.path.clone(),
        Source::HostPath(host) => below_prefix(&host.path, &context.host_prefix)?,
    };
    let mut line = Line::new(Side::Source, context, &path);
    line.option("--connect", connect);
    line.identity(context);
    Ok(line.finish(spec, context))
}

/// Returns the path of a host relative to a prefix of it, still with a leading `/`.
fn below_prefix(path: &str, prefix: &str) -> Result<String, ArgumentError> {
    let outside = || ArgumentError::OutsidePrefix {
        path: path.to_owned(),
        prefix: prefix.to_owned(),
    };
    let rest = Path::new(path)
        .strip_prefix(prefix)
        .map_err(|_| outside())?;
    Ok(format!("/{}", rest.display()))
}

/// A command line that grows in the order of the reference.
struct Line(Vec<OsString>);

impl Line {
    fn new(side: Side, context: &MoverContext, path: &str) -> Self {
        let mut line = Self(vec!["mover".into(), side.as_str().into()]);
        line.option("--root", &context.root);
        line.option("--path", path);
        line
    }

    fn identity(&mut self, context: &MoverContext) {
        self.option("--identity", &context.identity);
        self.option("--job-uid", &context.job_uid);
        self.option("--attempt", context.attempt.to_string());
    }

    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }

    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn finish(mut self, spec: &MirrorJobSpec, context: &MoverContext) -> Vec<OsString> {
        self.option(
            "--progress-deadline",
            spec.progress_deadline_seconds.to_string(),
        );
        if let Some(file) = &context.termination_message {
            self.option("--termination-message", file);
        }
        self.0
    }
}

//! From a `MirrorJob` to the command lines of its movers: a [`source`] and a [`destination`], or one
//! [`local`] mover that has both volumes.
//!
//! The operator and `blit run -f` both come through here, so a field of the manifest reaches a mover
//! in one way only. What the movers are told beyond the spec (where the volume is mounted, whom to
//! dial) is the [`MoverContext`]; the spec is expected to have passed [`crate::validation`].

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::mirrorjob::{
    Compare, Destination, Encryption, Fallback, Filter, MaxDeleteError, MirrorJobSpec, Operation,
    Side, Source, TransportKind, Verify,
};

#[cfg(test)]
mod tests;

/// Port on which a destination or local mover in a pod listens for the control plane.
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
    /// Whether devices, set-user-id and set-group-id bits and file capabilities may be written. False
    /// for a hostPath whose rule does not allow them; without meaning for a source.
    pub special_files: bool,
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
    let mut line = Line::new(Side::Destination.as_str());
    line.option("--root", &context.root);
    line.option("--path", destination_path(spec, context)?);
    line.option("--operation", operation(spec));
    line.option("--listen", listen.to_string());
    line.option("--data-port", data_port.to_string());
    line.identity(context);
    line.writing(spec, context)?;
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
    let mut line = Line::new(Side::Source.as_str());
    line.option("--root", &context.root);
    line.option("--path", source_path(spec, context)?);
    line.option("--connect", connect);
    line.identity(context);
    line.planes(spec);
    Ok(line.finish(spec, context))
}

/// Returns the arguments of a mover that has both volumes, without the name of the program. It listens
/// for the operator only, and goes by the identity of the destination.
///
/// Of the source's context only `root` and `host_prefix` count; the rest is the destination's.
///
/// # Errors
/// Fails when a hostPath is outside its context's prefix or `maxDelete` cannot be read.
pub fn local(
    spec: &MirrorJobSpec,
    source: &MoverContext,
    destination: &MoverContext,
    listen: SocketAddr,
) -> Result<Vec<OsString>, ArgumentError> {
    let mut line = Line::new("local");
    line.option("--source-root", &source.root);
    line.option("--source-path", source_path(spec, source)?);
    line.option("--root", &destination.root);
    line.option("--path", destination_path(spec, destination)?);
    line.option("--operation", operation(spec));
    line.option("--listen", listen.to_string());
    line.identity(destination);
    line.writing(spec, destination)?;
    Ok(line.finish(spec, destination))
}

fn operation(spec: &MirrorJobSpec) -> &'static str {
    match spec.operation {
        Operation::Mirror => "mirror",
        Operation::Copy => "copy",
    }
}

fn source_path(spec: &MirrorJobSpec, context: &MoverContext) -> Result<String, ArgumentError> {
    match &spec.source {
        Source::PersistentVolumeClaim(claim) => Ok(claim.path.clone()),
        Source::HostPath(host) => below_prefix(&host.path, &context.host_prefix),
    }
}

fn destination_path(spec: &MirrorJobSpec, context: &MoverContext) -> Result<String, ArgumentError> {
    match &spec.destination {
        Destination::PersistentVolumeClaim(claim) => Ok(claim.path.clone()),
        Destination::HostPath(host) => below_prefix(&host.path, &context.host_prefix),
        Destination::Nodes(nodes) => below_prefix(&nodes.path, &context.host_prefix),
    }
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
    fn new(side: &str) -> Self {
        Self(vec!["mover".into(), side.into()])
    }

    fn identity(&mut self, context: &MoverContext) {
        self.option("--identity", &context.identity);
        self.option("--job-uid", &context.job_uid);
        self.option("--attempt", context.attempt.to_string());
    }

    /// What a mover may do to the destination.
    fn writing(
        &mut self,
        spec: &MirrorJobSpec,
        context: &MoverContext,
    ) -> Result<(), ArgumentError> {
        if spec.operation == Operation::Mirror {
            if let Some(limit) = spec.deletion.limit()? {
                self.option("--max-delete", limit.to_string());
            }
            if spec.deletion.allow_empty_source {
                self.flag("--allow-empty-source");
            }
        }
        if spec.compare == Compare::Checksum {
            self.flag("--checksum");
        }
        if spec.verify == Verify::Checksum {
            self.flag("--verify");
        }
        if !context.special_files {
            self.flag("--no-special-files");
        }
        if spec.dry_run {
            self.flag("--dry-run");
        }
        for filter in &spec.filters {
            // One argument: a pattern may begin with a dash.
            self.0.push(match filter {
                Filter::Exclude(pattern) => format!("--exclude={pattern}").into(),
                Filter::Include(pattern) => format!("--include={pattern}").into(),
            });
        }
        Ok(())
    }

    /// Which data planes the side that dials may use.
    fn planes(&mut self, spec: &MirrorJobSpec) {
        if spec.transport.encryption == Encryption::All {
            self.option("--encryption", "all");
        }
        if spec.transport.kind == TransportKind::Grpc {
            self.flag("--force-grpc-data");
        } else if spec.transport.fallback == Fallback::Deny {
            self.flag("--no-fallback");
        }
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

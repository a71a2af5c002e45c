//! Which directory of this host stands for a claim or a path of a node.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use blit_crds::MirrorJobSpec;
use blit_crds::mirrorjob::{Destination, Source};
use blit_engine::fs::dir::display_path;

use crate::roots::{self, RootError};

/// Folder that holds the directories of claims that no option names.
const DEFAULT: &str = "volumes";

/// `--volume CLAIM=DIR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    /// Name of the claim.
    pub claim: String,
    /// The directory.
    pub directory: PathBuf,
}

/// A `--volume` that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected CLAIM=DIR, the name of a claim and a directory")]
pub struct InvalidVolume;

impl FromStr for Volume {
    type Err = InvalidVolume;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(OsStr::new(text))
    }
}

impl TryFrom<&OsStr> for Volume {
    type Error = InvalidVolume;

    fn try_from(text: &OsStr) -> Result<Self, Self::Error> {
        let bytes = text.as_bytes();
        let equals = bytes.iter().position(|b| *b == b'=').ok_or(InvalidVolume)?;
        let (claim, directory) = (&bytes[..equals], &bytes[equals + 1..]);
        let claim = std::str::from_utf8(claim).map_err(|_| InvalidVolume)?;
        if claim.is_empty() || directory.is_empty() {
            return Err(InvalidVolume);
        }
        let directory = OsString::from_vec(directory.to_vec()).into();
        Ok(Self {
            claim: claim.to_owned(),
            directory,
        })
    }
}

/// The directory that stands for the volume of one side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// The directory.
    pub directory: PathBuf,
    /// The part of a path of a node that the directory stands for; `/` for a claim.
    pub host_prefix: String,
    /// Path within the directory, absolute as in the manifest.
    pub path: PathBuf,
}

/// Directories for both sides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    /// Of the source.
    pub source: Root,
    /// Of the destination.
    pub destination: Root,
}

/// The volumes of a job cannot be found on this host.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// An option names a claim that the job does not use.
    #[error("--volume {0}=…: the MirrorJob has no claim `{0}`; its claims are {1}")]
    Unknown(String, String),
    /// The same claim twice.
    #[error("--volume {0}=… is given twice; a claim is one directory")]
    Twice(String),
    /// A directory cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The directory of a claim does not exist.
    #[error(
        "the claim `{claim}` is the directory `{}`, which does not exist; make it, or name another with \
         --volume {claim}=DIR", display_path(.directory)
    )]
    NoDirectory {
        /// Name of the claim.
        claim: String,
        /// The directory.
        directory: PathBuf,
    },
    /// A destination that this host cannot stand for.
    #[error("spec.destination.nodes needs a cluster; use persistentVolumeClaim or hostPath")]
    Nodes,
}

impl VolumeError {
    /// Returns the exit code for this error.
    pub fn exit_code(&self) -> blit_crds::outcome::ExitCode {
        match self {
            Self::Root(error) => error.exit_code(),
            _ => blit_crds::outcome::ExitCode::Usage,
        }
    }
}

/// Finds the directories for both sides, without looking at the file system.
pub fn resolve(spec: &MirrorJobSpec, volumes: &[Volume]) -> Result<Roots, VolumeError> {
    let mut given = BTreeMap::new();
    for Volume { claim, directory } in volumes {
        if given.insert(claim.as_str(), directory.as_path()).is_some() {
            return Err(VolumeError::Twice(claim.clone()));
        }
    }
    let claims = claims(spec);
    if let Some(unknown) = given.keys().find(|claim| !claims.contains(claim)) {
        let known = match &claims[..] {
            [] => "none".to_owned(),
            claims => claims
                .iter()
                .map(|c| format!("`{c}`"))
                .collect::<Vec<_>>()
                .join(", "),
        };
        return Err(VolumeError::Unknown((*unknown).to_owned(), known));
    }
    let of_claim = |claim: &str, path: &str| Root {
        directory: given.get(claim).map_or_else(
            || Path::new(DEFAULT).join(claim),
            |directory| directory.to_path_buf(),
        ),
        host_prefix: "/".to_owned(),
        path: path.into(),
    };
    // The whole path is the root here: on one's own machine there is nothing to confine it to.
    let of_host = |path: &str| Root {
        directory: path.into(),
        host_prefix: path.to_owned(),
        path: "/".into(),
    };
    Ok(Roots {
        source: match &spec.source {
            Source::PersistentVolumeClaim(claim) => of_claim(&claim.claim_name, &claim.path),
            Source::HostPath(host) => of_host(&host.path),
        },
        destination: match &spec.destination {
            Destination::PersistentVolumeClaim(claim) => of_claim(&claim.claim_name, &claim.path),
            Destination::HostPath(host) => of_host(&host.path),
            Destination::Nodes(_) => return Err(VolumeError::Nodes),
        },
    })
}

/// Checks the source, and makes the destination's directory; refuses one inside the other.
pub fn prepare(spec: &MirrorJobSpec, roots: &Roots) -> Result<(), VolumeError> {
    let Roots {
        source,
        destination,
    } = roots;
    let volume =
        roots::open_source(&source.directory).map_err(|error| match (error, &spec.source) {
            (RootError::Missing(directory), Source::PersistentVolumeClaim(claim)) => {
                VolumeError::NoDirectory {
                    claim: claim.claim_name.clone(),
                    directory,
                }
            }
            (error, _) => error.into(),
        })?;
    let tree = roots::open_within(&volume, &source.path, &source.named(), "the source", false)?;
    roots::check_destination(&destination.named(), &tree, &source.named())?;
    // What the movers of a dry run find missing they take for empty.
    if !spec.dry_run {
        roots::make(&destination.directory)?;
    }
    Ok(())
}

impl Root {
    /// Returns the whole path on this host.
    pub fn named(&self) -> PathBuf {
        let below = self.path.strip_prefix("/").unwrap_or(&self.path);
        if below.as_os_str().is_empty() {
            self.directory.clone()
        } else {
            self.directory.join(below)
        }
    }
}

fn claims(spec: &MirrorJobSpec) -> Vec<&str> {
    let mut claims = Vec::new();
    if let Source::PersistentVolumeClaim(claim) = &spec.source {
        claims.push(claim.claim_name.as_str());
    }
    if let Destination::PersistentVolumeClaim(claim) = &spec.destination {
        claims.push(claim.claim_name.as_str());
    }
    claims.dedup();
    claims
}

#[cfg(test)]
mod tests;

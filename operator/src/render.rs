//! `blit-operator render`: the objects of a first attempt, for review or for `kubectl apply`.
//!
//! The two steps of the operator become two calls. The first prints everything up to the pod of the
//! destination; the second, given the address of that pod, prints the pod of the source. Both give the
//! objects the same names, because those follow from the job alone.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io, process};

use blit_crds::mirrorjob::{PodSecurity, Side};
use blit_crds::outcome::ExitCode;
use blit_crds::{ManifestError, parse_manifest};
use serde::Serialize;
use thiserror::Error;

use crate::cli::RenderOptions;
use crate::identity::{Identities, IdentityError};
use crate::mirrorjob::build::{
    self, AttemptNames, BuildError, Facts, MoverFacts, PlaceFacts, stand_in_uid,
};
use crate::mirrorjob::placement::Pods;
use crate::mirrorjob::validate::{HostPathGrant, Policy, Refusal, ValidatedJob, validate};

/// The attempt that is rendered.
const FIRST_ATTEMPT: u32 = 1;

/// What `render` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The objects, as YAML documents.
    pub yaml: String,
    /// What to do with them, for people.
    pub next_step: String,
}

/// Nothing can be rendered.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The manifest cannot be read.
    #[error("cannot read the manifest {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The manifest is not a MirrorJob.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The job is suspended.
    #[error("the MirrorJob is suspended, so it has no movers; set spec.suspend to false")]
    Suspended,
    /// The job may not be carried out.
    #[error("{0}{hint}", hint = hint(.0))]
    Refused(#[from] Refusal),
    /// No identities could be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No objects could be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The objects cannot be written as YAML.
    #[error("cannot write the objects as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
}

impl RenderError {
    /// Returns the exit code of the program.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read { .. } | Self::Manifest(_) | Self::Suspended | Self::Refused(_) => {
                ExitCode::Usage
            }
            Self::Identity(_) | Self::Build(_) | Self::Yaml(_) => ExitCode::OtherError,
        }
    }
}

/// Renders the first attempt of the job in a file, and prints it.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the edge of the program"
)]
pub fn main(options: &RenderOptions) -> process::ExitCode {
    match run(options) {
        Ok(rendered) => {
            print!("{}", rendered.yaml);
            eprintln!("{}", rendered.next_step);
            process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code().into()
        }
    }
}

/// Renders the first attempt of the job in a file.
///
/// # Errors
/// Fails when the manifest cannot be read or the job may not be carried out.
pub fn run(options: &RenderOptions) -> Result<Rendered, RenderError> {
    let text = read(&options.manifest).map_err(|error| RenderError::Read {
        path: options.manifest.clone(),
        error,
    })?;
    let job = parse_manifest(&text)?;
    // Whoever applies the objects needs the right to do so: the cluster is the limit, not this program.
    let policy = Policy {
        maximum: PodSecurity::Privileged,
        host_paths: options
            .allow_host_path
            .iter()
            .map(|prefix| granted(prefix))
            .collect(),
    };
    let validated = validate(&job, &policy)?;
    if validated.spec().suspend {
        return Err(RenderError::Suspended);
    }
    let facts = Facts {
        job_uid: job
            .metadata
            .uid
            .clone()
            .unwrap_or_else(|| stand_in_uid(&job)),
        attempt: FIRST_ATTEMPT,
        settings: MoverFacts::of_image(&options.image),
        pods: Pods::Two,
        source: PlaceFacts::default(),
        destination: PlaceFacts::default(),
    };
    match options.destination_address {
        None => first_step(&validated, &facts),
        Some(address) => second_step(&validated, &facts, address),
    }
}

fn first_step(job: &ValidatedJob, facts: &Facts) -> Result<Rendered, RenderError> {
    let identities = Identities::issue(&facts.job_uid, facts.attempt, SystemTime::now())?;
    let objects = build::prepare(job, facts, &identities)?;
    let mut yaml = String::new();
    if let Some(claim) = &objects.claim {
        document(claim, &mut yaml)?;
    }
    for secret in &objects.secrets {
        document(secret, &mut yaml)?;
    }
    for policy in &objects.network_policies {
        document(policy, &mut yaml)?;
    }
    document(&objects.listener, &mut yaml)?;
    let pod = AttemptNames::new(job, &facts.job_uid, facts.attempt).of(Side::Destination);
    let next_step = format!(
        "These objects hold private keys. When pod {pod} is Ready, give its address for the pod of the \
         source: --destination-address \"$(kubectl get pod {pod} -o jsonpath='{{.status.podIP}}')\""
    );
    Ok(Rendered { yaml, next_step })
}

fn second_step(
    job: &ValidatedJob,
    facts: &Facts,
    address: IpAddr,
) -> Result<Rendered, RenderError> {
    let mut yaml = String::new();
    document(&build::source_pod(job, facts, address)?, &mut yaml)?;
    let names = AttemptNames::new(job, &facts.job_uid, facts.attempt);
    let next_step = format!(
        "Pod {} ends with 0 when the destination is as asked.",
        names.of(Side::Destination)
    );
    Ok(Rendered { yaml, next_step })
}

fn document(
    object: &impl Serialize,
    yaml: &mut String,
) -> Result<(), serde_saphyr::SerializeError> {
    yaml.push_str("---\n");
    yaml.push_str(&serde_saphyr::to_string(object)?);
    if !yaml.ends_with('\n') {
        yaml.push('\n');
    }
    Ok(())
}

/// Nothing special is written to a node: only the administrator of a cluster can allow that.
fn granted(prefix: &str) -> HostPathGrant {
    HostPathGrant {
        node: None,
        prefix: prefix.to_owned(),
        writable: true,
        special_files: false,
    }
}

fn read(path: &Path) -> io::Result<String> {
    if path != Path::new("-") {
        return fs::read_to_string(path);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn hint(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::HostPathNotAllowed { .. } => " (here: --allow-host-path DIRECTORY)",
        Refusal::Invalid(_) | Refusal::PermissionNotGranted { .. } => "",
    }
}

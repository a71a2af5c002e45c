//! The container of a mover.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use blit_crds::arguments::{self, ArgumentError, MoverContext};
use blit_crds::mirrorjob::Side;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, Probe, ResourceRequirements, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::MoverKind;
use super::{BuildError, Facts, labels, security, volumes};
use crate::mirrorjob::validate::{DestinationPlace, ValidatedJob};

/// Where Kubernetes expects the last word of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Name of the port of the control plane.
const CONTROL: &str = "control";

/// Makes the container of a mover that listens, on every address of both families.
pub(super) fn listening(
    job: &ValidatedJob,
    facts: &Facts,
    kind: MoverKind,
) -> Result<Container, BuildError> {
    let ports = &facts.settings;
    let listen = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), ports.control_port);
    let destination = context(job, facts, kind, Side::Destination);
    let line = if kind == MoverKind::Local {
        let source = context(job, facts, kind, Side::Source);
        arguments::local(job.spec(), &source, &destination, listen)
    } else {
        arguments::destination(job.spec(), &destination, listen, ports.data_port)
    };
    let mut container = container(job, facts, kind, line)?;
    let mut open = vec![port(CONTROL, ports.control_port)];
    if kind != MoverKind::Local {
        open.push(port("data", ports.data_port));
    }
    container.ports = Some(open);
    container.readiness_probe = Some(Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String(CONTROL.to_owned()),
            host: None,
        }),
        period_seconds: Some(1),
        ..Probe::default()
    });
    Ok(container)
}

/// Makes the container of a mover that dials `address`.
pub(super) fn dialling(
    job: &ValidatedJob,
    facts: &Facts,
    address: IpAddr,
) -> Result<Container, BuildError> {
    let connect = SocketAddr::new(address, facts.settings.control_port).to_string();
    let context = context(job, facts, MoverKind::Source, Side::Source);
    let line = arguments::source(job.spec(), &context, &connect);
    container(job, facts, MoverKind::Source, line)
}

fn context(job: &ValidatedJob, facts: &Facts, kind: MoverKind, side: Side) -> MoverContext {
    MoverContext {
        root: volumes::root(kind, side).into(),
        host_prefix: job
            .host_path(side)
            .map_or("/", |(_, prefix)| prefix)
            .to_owned(),
        special_files: match job.destination() {
            DestinationPlace::Claim(_) => true,
            DestinationPlace::HostPath { special_files, .. } => *special_files,
        },
        identity: volumes::IDENTITY_DIR.into(),
        job_uid: facts.job_uid.clone(),
        attempt: facts.attempt,
        termination_message: Some(TERMINATION_LOG.into()),
    }
}

fn container(
    job: &ValidatedJob,
    facts: &Facts,
    kind: MoverKind,
    line: Result<Vec<OsString>, ArgumentError>,
) -> Result<Container, BuildError> {
    let args = line
        .map_err(|error| BuildError::Arguments { kind, error })?
        .into_iter()
        .map(|word| word.into_string().map_err(|_| BuildError::NotText(kind)))
        .collect::<Result<_, _>>()?;
    let resources = job
        .pod(security::side_of(kind))
        .resources
        .or_else(|| facts.settings.resources.clone())
        .unwrap_or_else(default_resources);
    Ok(Container {
        name: labels::CONTAINER.to_owned(),
        image: Some(facts.settings.image.clone()),
        command: Some(vec!["blit".to_owned()]),
        args: Some(args),
        // The history of a pod would be lost with it, and its root is read-only.
        env: Some(vec![EnvVar {
            name: "BLIT_DISABLE_PERF_HISTORY".to_owned(),
            value: Some("1".to_owned()),
            value_from: None,
        }]),
        resources: Some(resources),
        security_context: Some(security::of_container(job, kind)),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        // Never the log: it names files, and this is shown to everybody who may see the pod.
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(volumes::mounts(job, facts, kind)),
        ..Container::default()
    })
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Without a CPU limit: one would only slow a mover down while cores are idle.
fn default_resources() -> ResourceRequirements {
    let list = |entries: &[(&str, &str)]| {
        entries
            .iter()
            .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
            .collect()
    };
    ResourceRequirements {
        requests: Some(list(&[("cpu", "100m"), ("memory", "128Mi")])),
        limits: Some(list(&[("memory", "512Mi")])),
        ..ResourceRequirements::default()
    }
}

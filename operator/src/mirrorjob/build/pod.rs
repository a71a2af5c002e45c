//! The pod of a mover.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use blit_crds::arguments::{self, ArgumentError, CONTROL_PORT, DATA_PORT, MoverContext};
use blit_crds::mirrorjob::Side;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HostPathVolumeSource, PersistentVolumeClaimVolumeSource, Pod,
    PodSpec, Probe, ResourceRequirements, SecretVolumeSource, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::AttemptNames;
use super::{BuildError, Facts, placement, security};
use crate::mirrorjob::validate::{DestinationPlace, SourcePlace, ValidatedJob};

/// Where the volume of a side is mounted.
const DATA_DIR: &str = "/data";
/// Where the identity of a side is mounted.
const IDENTITY_DIR: &str = "/var/run/blit/identity";
/// Where Kubernetes expects the last word of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Seconds that a mover has to finish what it is writing.
const GRACE_PERIOD_SECONDS: i64 = 60;
/// Mode of the identity's files. The volume is the pod's own memory; a mover that is not root could not
/// read it otherwise, because only an fsGroup would give it the files, and a source must not have one.
const IDENTITY_MODE: i32 = 0o444;

/// Annotations of every mover: no mesh proxy between the movers, no eviction to save a node.
const ANNOTATIONS: [(&str, &str); 3] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("linkerd.io/inject", "disabled"),
    ("sidecar.istio.io/inject", "false"),
];

/// Labels that keep meshes away: newer Istio reads labels, not annotations.
const MESH_LABELS: [(&str, &str); 2] = [
    ("istio.io/dataplane-mode", "none"),
    ("sidecar.istio.io/inject", "false"),
];

/// Makes the destination's pod, which listens on every address of both families.
pub(super) fn destination(
    job: &ValidatedJob,
    facts: &Facts,
    names: &AttemptNames,
) -> Result<Pod, BuildError> {
    let listen = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), CONTROL_PORT);
    let line = arguments::destination(
        job.spec(),
        &context(job, facts, Side::Destination),
        listen,
        DATA_PORT,
    );
    let mut container = container(job, facts, Side::Destination, line)?;
    container.ports = Some(vec![port("control", CONTROL_PORT), port("data", DATA_PORT)]);
    container.readiness_probe = Some(Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("control".to_owned()),
            host: None,
        }),
        period_seconds: Some(1),
        ..Probe::default()
    });
    Ok(pod(job, facts, names, Side::Destination, container))
}

/// Makes the source's pod, which dials `address`.
pub(super) fn source(
    job: &ValidatedJob,
    facts: &Facts,
    names: &AttemptNames,
    address: IpAddr,
) -> Result<Pod, BuildError> {
    let connect = SocketAddr::new(address, CONTROL_PORT).to_string();
    let line = arguments::source(job.spec(), &context(job, facts, Side::Source), &connect);
    let container = container(job, facts, Side::Source, line)?;
    Ok(pod(job, facts, names, Side::Source, container))
}

fn context(job: &ValidatedJob, facts: &Facts, side: Side) -> MoverContext {
    let host_prefix = job.host_path(side).map_or("/", |(_, prefix)| prefix);
    let special_files = match job.destination() {
        DestinationPlace::Claim(_) => true,
        DestinationPlace::HostPath { special_files, .. } => *special_files,
    };
    MoverContext {
        root: DATA_DIR.into(),
        host_prefix: host_prefix.to_owned(),
        special_files,
        identity: IDENTITY_DIR.into(),
        job_uid: facts.job_uid.clone(),
        attempt: facts.attempt,
        termination_message: Some(TERMINATION_LOG.into()),
    }
}

fn container(
    job: &ValidatedJob,
    facts: &Facts,
    side: Side,
    line: Result<Vec<OsString>, ArgumentError>,
) -> Result<Container, BuildError> {
    let args = line
        .map_err(|error| BuildError::Arguments { side, error })?
        .into_iter()
        .map(|word| word.into_string().map_err(|_| BuildError::NotText(side)))
        .collect::<Result<_, _>>()?;
    Ok(Container {
        name: "mover".to_owned(),
        image: Some(facts.image.clone()),
        command: Some(vec!["blit".to_owned()]),
        args: Some(args),
        // The history of a pod would be lost with it, and its root is read-only.
        env: Some(vec![EnvVar {
            name: "BLIT_DISABLE_PERF_HISTORY".to_owned(),
            value: Some("1".to_owned()),
            value_from: None,
        }]),
        resources: Some(job.pod(side).resources.unwrap_or_else(default_resources)),
        security_context: Some(security::of_container(job.pod_security(side), side)),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        // Never the log: it names files, and this is shown to everybody who may see the pod.
        termination_message_policy: Some("File".to_owned()),
        volume_mounts: Some(vec![
            VolumeMount {
                name: "data".to_owned(),
                mount_path: DATA_DIR.to_owned(),
                read_only: Some(mounts_read_only(job, facts, side)),
                ..VolumeMount::default()
            },
            VolumeMount {
                name: "identity".to_owned(),
                mount_path: IDENTITY_DIR.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            },
        ]),
        ..Container::default()
    })
}

fn pod(
    job: &ValidatedJob,
    facts: &Facts,
    names: &AttemptNames,
    side: Side,
    container: Container,
) -> Pod {
    let settings = job.pod(side);
    let place = facts.of(side);
    let mut metadata = names.metadata(side);
    metadata
        .labels
        .get_or_insert_default()
        .extend(with_own(&settings.pod_labels, MESH_LABELS));
    metadata.annotations = Some(with_own(&settings.pod_annotations, ANNOTATIONS));
    let mut tolerations = settings.tolerations.clone().unwrap_or_default();
    tolerations.extend(place.tolerations.iter().cloned());
    let security = settings.security_context.clone().unwrap_or_default();
    Pod {
        metadata,
        spec: Some(PodSpec {
            affinity: placement::affinity(job, side, &settings, place),
            automount_service_account_token: Some(false),
            containers: vec![container],
            enable_service_links: Some(false),
            image_pull_secrets: settings.image_pull_secrets.clone(),
            node_selector: settings.node_selector.clone(),
            priority_class_name: settings.priority_class_name.clone(),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(security::of_pod(
                job.pod_security(side),
                side,
                &security,
                place,
            )),
            service_account_name: settings.service_account_name.clone(),
            termination_grace_period_seconds: Some(GRACE_PERIOD_SECONDS),
            tolerations: (!tolerations.is_empty()).then_some(tolerations),
            volumes: Some(vec![
                data_volume(job, facts, side),
                identity_volume(names, side),
            ]),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The user's entries with ours; reserved keys were refused, so they cannot collide.
fn with_own<const N: usize>(
    user: &Option<BTreeMap<String, String>>,
    own: [(&str, &str); N],
) -> BTreeMap<String, String> {
    let mut entries = user.clone().unwrap_or_default();
    entries.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    entries
}

/// The whole volume, or the allowed directory of the node: the mover resolves the rest of the path itself,
/// without following symlinks. A subPath would be resolved by the node, with its rights.
fn data_volume(job: &ValidatedJob, facts: &Facts, side: Side) -> Volume {
    let mut volume = Volume {
        name: "data".to_owned(),
        ..Volume::default()
    };
    volume.persistent_volume_claim =
        job.claim(side)
            .map(|name| PersistentVolumeClaimVolumeSource {
                claim_name: name.to_owned(),
                read_only: facts.of(side).read_only.then_some(true),
            });
    volume.host_path = job.host_path(side).map(|(_, prefix)| HostPathVolumeSource {
        path: prefix.to_owned(),
        type_: Some("Directory".to_owned()),
    });
    volume
}

fn identity_volume(names: &AttemptNames, side: Side) -> Volume {
    Volume {
        name: "identity".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names.of(side)),
            default_mode: Some(IDENTITY_MODE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn mounts_read_only(job: &ValidatedJob, facts: &Facts, side: Side) -> bool {
    match (side, job.source()) {
        (Side::Destination, _) => false,
        (Side::Source, SourcePlace::Claim(claim)) => claim.read_only || facts.source.read_only,
        (Side::Source, SourcePlace::HostPath { .. }) => true,
    }
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

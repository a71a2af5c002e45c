//! What a mover may do: users, groups and capabilities by pod security level.
//!
//! Each level is what the Pod Security Standard of its name accepts, and no more than a mover needs. No
//! level is a privileged container. A mover with both volumes has what either side asks for.

use blit_crds::mirrorjob::{PodSecurity, Side};
use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

use super::Facts;
use super::names::MoverKind;
use crate::mirrorjob::validate::ValidatedJob;

/// User of a mover that needs no other: distroless images call it `nonroot`.
const NON_ROOT: i64 = 65532;

/// What a source needs as root: to read what others may not.
const SOURCE_CAPABILITIES: &[&str] = &["DAC_OVERRIDE"];

/// What a destination needs as root: to give files away and keep modes, capabilities and devices.
const DESTINATION_CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETFCAP",
    "MKNOD",
];

/// Returns the side whose settings a mover follows.
pub(super) fn side_of(kind: MoverKind) -> Side {
    match kind {
        MoverKind::Source => Side::Source,
        MoverKind::Destination | MoverKind::Local => Side::Destination,
    }
}

/// Returns the security context of the pod of a mover.
pub(super) fn of_pod(job: &ValidatedJob, facts: &Facts, kind: MoverKind) -> PodSecurityContext {
    let side = side_of(kind);
    let settings = job.pod(side).security_context.unwrap_or_default();
    let place = facts.of(side);
    let restricted = level(job, kind) == PodSecurity::Restricted;
    let user = match (restricted, settings.run_as_user.or(place.user)) {
        (true, Some(user @ 1..)) => user,
        (true, _) => NON_ROOT,
        (false, _) => 0,
    };
    let mut groups = settings.supplemental_groups.clone();
    if kind == MoverKind::Local
        && let Some(source) = job.pod(Side::Source).security_context
    {
        let all = groups.get_or_insert_default();
        all.extend(source.supplemental_groups.unwrap_or_default());
        all.sort_unstable();
        all.dedup();
        groups = groups.filter(|all| !all.is_empty());
    }
    PodSecurityContext {
        run_as_non_root: Some(restricted),
        run_as_user: Some(user),
        run_as_group: settings
            .run_as_group
            .or_else(|| (user == NON_ROOT).then_some(NON_ROOT)),
        supplemental_groups: groups,
        // On a source it would change the owner of every file before the first is read.
        fs_group: settings.fs_group.filter(|_| kind == MoverKind::Destination),
        se_linux_options: settings
            .se_linux_options
            .clone()
            .or_else(|| place.se_linux_options.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Returns the security context of the container of a mover.
pub(super) fn of_container(job: &ValidatedJob, kind: MoverKind) -> SecurityContext {
    let added: &[&str] = match (level(job, kind), kind) {
        (PodSecurity::Restricted, _) => &[],
        (_, MoverKind::Source) => SOURCE_CAPABILITIES,
        // What a source needs is among them.
        (_, MoverKind::Destination | MoverKind::Local) => DESTINATION_CAPABILITIES,
    };
    let added: Vec<String> = added.iter().map(|name| (*name).to_owned()).collect();
    SecurityContext {
        allow_privilege_escalation: Some(false),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: (!added.is_empty()).then_some(added),
        }),
        ..SecurityContext::default()
    }
}

fn level(job: &ValidatedJob, kind: MoverKind) -> PodSecurity {
    match kind {
        MoverKind::Source => job.pod_security(Side::Source),
        MoverKind::Destination => job.pod_security(Side::Destination),
        MoverKind::Local => job
            .pod_security(Side::Source)
            .max(job.pod_security(Side::Destination)),
    }
}

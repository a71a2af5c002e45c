//! What a mover may do: users, groups and capabilities by pod security level.
//!
//! Each level is what the Pod Security Standard of its name accepts, and no more than a mover needs. No
//! level is a privileged container.

use blit_crds::mirrorjob::{MoverSecurityContext, PodSecurity, Side};
use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

use super::PlaceFacts;

/// User of a mover that needs no other: distroless images call it `nonroot`.
const NON_ROOT: i64 = 65532;

/// What a source needs as root: to read what others may not.
const SOURCE_CAPABILITIES: [&str; 1] = ["DAC_OVERRIDE"];

/// What a destination needs as root: to give files away and keep modes, capabilities and devices.
const DESTINATION_CAPABILITIES: [&str; 6] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "SETFCAP",
    "MKNOD",
];

/// Returns the security context of the pod of a side.
pub(super) fn of_pod(
    level: PodSecurity,
    side: Side,
    settings: &MoverSecurityContext,
    facts: &PlaceFacts,
) -> PodSecurityContext {
    let restricted = level == PodSecurity::Restricted;
    let user = match (restricted, settings.run_as_user.or(facts.user)) {
        (true, Some(user @ 1..)) => user,
        (true, _) => NON_ROOT,
        (false, _) => 0,
    };
    PodSecurityContext {
        run_as_non_root: Some(restricted),
        run_as_user: Some(user),
        run_as_group: settings
            .run_as_group
            .or_else(|| (user == NON_ROOT).then_some(NON_ROOT)),
        supplemental_groups: settings.supplemental_groups.clone(),
        // On a source it would change the owner of every file before the first is read.
        fs_group: settings.fs_group.filter(|_| side == Side::Destination),
        se_linux_options: settings
            .se_linux_options
            .clone()
            .or_else(|| facts.se_linux_options.clone()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// Returns the security context of the container of a side.
pub(super) fn of_container(level: PodSecurity, side: Side) -> SecurityContext {
    let added: &[&str] = match (level, side) {
        (PodSecurity::Restricted, _) => &[],
        (_, Side::Source) => &SOURCE_CAPABILITIES,
        (_, Side::Destination) => &DESTINATION_CAPABILITIES,
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

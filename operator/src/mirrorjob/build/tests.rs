use blit_crds::mirrorjob::PodSecurity;
use blit_crds::{MirrorJob, parse_manifest};
use blit_proto::pki::Identity;
use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, SecurityContext};

use super::*;
use crate::mirrorjob::validate::{HostPathGrant, Policy, validate};

fn manifest(source: &str, further: &str) -> MirrorJob {
    parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\n\
         metadata: {{name: nightly, namespace: team, uid: 7c1e}}\nspec:\n  operation: Mirror\n  \
         source: {{{source}}}\n  destination: {{persistentVolumeClaim: {{claimName: copy}}}}\n{further}\n"
    ))
    .unwrap()
}

fn validated(job: &MirrorJob) -> ValidatedJob {
    let policy = Policy {
        maximum: PodSecurity::Privileged,
        host_paths: vec![HostPathGrant {
            node: None,
            prefix: "/srv/data".to_owned(),
            writable: true,
            special_files: false,
        }],
    };
    validate(job, &policy).unwrap()
}

/// A job between two claims, with these lines of the spec.
fn claims(further: &str) -> ValidatedJob {
    validated(&manifest(
        "persistentVolumeClaim: {claimName: raw, path: /2024}",
        further,
    ))
}

fn facts() -> Facts {
    Facts {
        job_uid: "7c1e".to_owned(),
        attempt: 2,
        settings: MoverFacts::of_image("registry.example/blit@sha256:0f"),
        pods: Pods::Two,
        source: PlaceFacts::default(),
        destination: PlaceFacts::default(),
    }
}

fn identities() -> Identities {
    let of = |side: &str| {
        Identity::new(
            "authority".to_owned(),
            format!("{side} leaf"),
            format!("{side} key"),
        )
    };
    Identities::new(of("source"), of("destination"))
}

/// The pods of both sides.
fn pods(job: &ValidatedJob, facts: &Facts) -> (Pod, Pod) {
    let address = "10.1.2.3".parse().unwrap();
    (
        source_pod(job, facts, address).unwrap(),
        prepare(job, facts, &identities()).unwrap().listener,
    )
}

fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap()
}

fn security(pod: &Pod) -> (&PodSecurityContext, &SecurityContext) {
    let spec = spec(pod);
    (
        spec.security_context.as_ref().unwrap(),
        spec.containers[0].security_context.as_ref().unwrap(),
    )
}

fn added(pod: &Pod) -> Vec<String> {
    security(pod)
        .1
        .capabilities
        .clone()
        .unwrap()
        .add
        .unwrap_or_default()
}

#[test]
fn an_attempt_between_two_claims() {
    let (source, destination) = pods(&claims(""), &facts());
    let prepared = prepare(&claims(""), &facts(), &identities()).unwrap();
    insta::assert_yaml_snapshot!("destination_pod", destination);
    insta::assert_yaml_snapshot!("source_pod", source);
    insta::assert_yaml_snapshot!("secrets", prepared.secrets);
    insta::assert_yaml_snapshot!("network_policies", prepared.network_policies);
    assert_eq!(prepared.claim, None);
}

#[test]
fn every_pod_at_every_level_has_the_same_confinement() {
    for level in ["Restricted", "Baseline", "Privileged"] {
        let (source, destination) = pods(
            &claims(&format!("  mover: {{podSecurity: {level}}}")),
            &facts(),
        );
        for pod in [&source, &destination] {
            let (of_pod, of_container) = security(pod);
            assert_eq!(
                of_pod.seccomp_profile.as_ref().unwrap().type_,
                "RuntimeDefault"
            );
            assert_eq!(of_container.allow_privilege_escalation, Some(false));
            assert_eq!(of_container.privileged, Some(false));
            assert_eq!(of_container.read_only_root_filesystem, Some(true));
            let capabilities = of_container.capabilities.as_ref().unwrap();
            assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
            let spec = spec(pod);
            assert_eq!(spec.automount_service_account_token, Some(false));
            assert_eq!(spec.enable_service_links, Some(false));
            assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
            assert_eq!(spec.host_network, None);
            assert_eq!(spec.node_name, None);
        }
    }
}

#[test]
fn a_restricted_mover_is_not_root_and_has_no_capability() {
    let (source, destination) = pods(&claims(""), &facts());
    for pod in [&source, &destination] {
        assert_eq!(security(pod).0.run_as_non_root, Some(true));
        assert_eq!(security(pod).0.run_as_user, Some(65532));
        assert_eq!(added(pod), Vec::<String>::new());
    }
}

#[test]
fn a_restricted_mover_runs_as_the_user_asked_for_or_else_as_the_one_of_the_claim() {
    let mut facts = facts();
    facts.source.user = Some(1000);
    facts.destination.user = Some(0);
    let (source, destination) = pods(&claims(""), &facts);
    assert_eq!(security(&source).0.run_as_user, Some(1000));
    assert_eq!(security(&source).0.run_as_group, None);
    assert_eq!(security(&destination).0.run_as_user, Some(65532));
    let (source, _) = pods(
        &claims("  mover: {securityContext: {runAsUser: 7}}"),
        &facts,
    );
    assert_eq!(security(&source).0.run_as_user, Some(7));
}

#[test]
fn a_baseline_mover_is_root_with_what_its_side_needs() {
    for level in ["Baseline", "Privileged"] {
        let (source, destination) = pods(
            &claims(&format!("  mover: {{podSecurity: {level}}}")),
            &facts(),
        );
        assert_eq!(security(&source).0.run_as_user, Some(0));
        assert_eq!(security(&source).0.run_as_non_root, Some(false));
        assert_eq!(added(&source), ["DAC_OVERRIDE"]);
        assert_eq!(
            added(&destination),
            [
                "CHOWN",
                "DAC_OVERRIDE",
                "FOWNER",
                "FSETID",
                "SETFCAP",
                "MKNOD"
            ]
        );
    }
}

#[test]
fn the_group_of_a_volume_is_set_on_the_destination_only() {
    let (source, destination) = pods(
        &claims("  mover: {securityContext: {fsGroup: 5, supplementalGroups: [6]}}"),
        &facts(),
    );
    assert_eq!(security(&source).0.fs_group, None);
    assert_eq!(security(&source).0.supplemental_groups, Some(vec![6]));
    assert_eq!(security(&destination).0.fs_group, Some(5));
}

#[test]
fn the_source_is_mounted_read_only_and_never_by_sub_path() {
    let mut facts = facts();
    facts.source.read_only = true;
    let (source, destination) = pods(&claims(""), &facts);
    for (pod, read_only) in [(&source, true), (&destination, false)] {
        let mount = &spec(pod).containers[0].volume_mounts.as_ref().unwrap()[0];
        assert_eq!(
            (mount.mount_path.as_str(), mount.read_only),
            ("/data", Some(read_only))
        );
        assert_eq!(mount.sub_path, None);
    }
    let claim = |pod: &Pod| {
        spec(pod).volumes.as_ref().unwrap()[0]
            .persistent_volume_claim
            .clone()
            .unwrap()
            .read_only
    };
    assert_eq!(claim(&source), Some(true));
    assert_eq!(claim(&destination), None);
}

#[test]
fn a_host_path_is_mounted_at_its_allowed_prefix_on_its_node() {
    let job = validated(&manifest(
        "hostPath: {nodeName: n1, path: /srv/data/2024}",
        "  mover: {source: {podSecurity: Privileged}}",
    ));
    let (source, _) = pods(&job, &facts());
    let volume = spec(&source).volumes.as_ref().unwrap()[0]
        .host_path
        .clone()
        .unwrap();
    assert_eq!(
        (volume.path.as_str(), volume.type_.as_deref()),
        ("/srv/data", Some("Directory"))
    );
    let args = spec(&source).containers[0].args.clone().unwrap().join(" ");
    assert!(args.contains("--root /data --path /2024 "), "{args}");
    insta::assert_yaml_snapshot!("affinity_host_path", spec(&source).affinity);
}

#[test]
fn the_nodes_of_a_volume_are_required_together_with_what_the_user_requires() {
    let mut facts = facts();
    facts.destination.nodes = Some(vec!["n1".to_owned(), "n2".to_owned()]);
    let job = claims(
        "  mover: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
         {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}, \
         {matchExpressions: [{key: fast, operator: Exists}]}]}}}}",
    );
    let (source, destination) = pods(&job, &facts);
    insta::assert_yaml_snapshot!("affinity_of_both", spec(&destination).affinity);
    assert_eq!(spec(&source).affinity, job.pod(Side::Source).affinity);
}

#[test]
fn settings_of_one_side_replace_those_of_both() {
    let job = claims(
        "  mover: {priorityClassName: low, podLabels: {team: a}, nodeSelector: {disk: ssd}, \
         destination: {priorityClassName: high, resources: {limits: {memory: 1Gi}}}}",
    );
    let (source, destination) = pods(&job, &facts());
    assert_eq!(spec(&source).priority_class_name.as_deref(), Some("low"));
    assert_eq!(
        spec(&destination).priority_class_name.as_deref(),
        Some("high")
    );
    let memory = |pod: &Pod| {
        let resources = spec(pod).containers[0].resources.clone().unwrap();
        (
            resources.limits.unwrap()["memory"].0.clone(),
            resources.requests.is_some(),
        )
    };
    assert_eq!(memory(&source), ("512Mi".to_owned(), true));
    assert_eq!(memory(&destination), ("1Gi".to_owned(), false));
    for pod in [&source, &destination] {
        assert_eq!(pod.metadata.labels.as_ref().unwrap()["team"], "a");
        assert_eq!(spec(pod).node_selector.as_ref().unwrap()["disk"], "ssd");
    }
}

#[test]
fn an_address_of_the_sixth_version_stands_in_brackets() {
    let pod = source_pod(&claims(""), &facts(), "fd00::7".parse().unwrap()).unwrap();
    let args = spec(&pod).containers[0].args.clone().unwrap().join(" ");
    assert!(args.contains("--connect [fd00::7]:9031 "), "{args}");
}

#[test]
fn names_fit_a_label_and_tell_jobs_and_attempts_apart() {
    let name = |job_name: &str, uid: &str, attempt| {
        let mut job = manifest("persistentVolumeClaim: {claimName: raw}", "");
        job.metadata.name = Some(job_name.to_owned());
        AttemptNames::new(&validated(&job), uid, attempt).of(Side::Destination)
    };
    assert_eq!(name("nightly", "a", 1), "nightly-17762fdd-a1-destination");
    assert_ne!(name("nightly", "a", 1), name("nightly", "b", 1));
    assert_ne!(name("nightly", "a", 1), name("nightly", "a", 2));
    let long = name(&"x".repeat(63), "a", u32::MAX);
    assert_eq!(long.len(), 63);
    assert!(long.ends_with("-a4294967295-destination"));
    assert_eq!(name("a.b", "a", 1), "a-b-17762fdd-a1-destination");
}

#[test]
fn a_template_becomes_a_claim_that_nobody_owns() {
    let mut job = manifest("persistentVolumeClaim: {claimName: raw}", "");
    let text = "{claimName: copy, template: {storage: 10Gi, storageClassName: fast}}";
    job.spec.destination = parse_destination(text);
    let claim = prepare(&validated(&job), &facts(), &identities())
        .unwrap()
        .claim
        .unwrap();
    assert_eq!(claim.metadata.owner_references, None);
    insta::assert_yaml_snapshot!("claim", claim);
}

fn parse_destination(text: &str) -> blit_crds::mirrorjob::Destination {
    let claim = serde_saphyr::from_str(text).unwrap();
    blit_crds::mirrorjob::Destination::PersistentVolumeClaim(claim)
}

#[test]
fn a_job_that_was_never_applied_owns_nothing() {
    let mut job = manifest("persistentVolumeClaim: {claimName: raw}", "");
    job.metadata.uid = None;
    let uid = stand_in_uid(&job);
    assert_eq!(uid, stand_in_uid(&job));
    let facts = Facts {
        job_uid: uid,
        ..facts()
    };
    let (source, destination) = pods(&validated(&job), &facts);
    assert_eq!(source.metadata.owner_references, None);
    assert_eq!(destination.metadata.owner_references, None);
}

/// The only pod of an attempt on one node.
fn alone(job: &ValidatedJob, facts: &Facts) -> Pod {
    let facts = Facts {
        pods: Pods::One,
        ..facts.clone()
    };
    let prepared = prepare(job, &facts, &identities()).unwrap();
    assert_eq!(
        (prepared.secrets.len(), prepared.network_policies.len()),
        (1, 1)
    );
    prepared.listener
}

#[test]
fn one_pod_mounts_both_volumes_and_the_source_read_only() {
    let job = validated(&manifest("persistentVolumeClaim: {claimName: raw}", ""));
    let pod = alone(&job, &facts());
    let spec = spec(&pod);
    let mounts: Vec<_> = spec.containers[0]
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| {
            (
                mount.name.as_str(),
                mount.mount_path.as_str(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            ("data", "/data", Some(false)),
            ("source", "/source", Some(true)),
            ("identity", "/var/run/blit/identity", Some(true)),
        ]
    );
    let args = spec.containers[0].args.as_ref().unwrap().join(" ");
    assert!(
        args.starts_with("mover local --source-root /source --source-path / --root /data "),
        "{args}"
    );
    assert!(pod.metadata.name.unwrap().ends_with("-a2-local"));
}

#[test]
fn one_claim_is_one_volume_that_is_mounted_twice() {
    let mut job = manifest("persistentVolumeClaim: {claimName: copy, path: /old}", "");
    job.spec.destination = parse_destination("{claimName: copy, path: /new}");
    let pod = alone(&validated(&job), &facts());
    let spec = spec(&pod);
    assert_eq!(spec.volumes.as_ref().unwrap().len(), 2);
    let mounts = spec.containers[0].volume_mounts.as_ref().unwrap();
    assert_eq!(
        mounts.iter().filter(|mount| mount.name == "data").count(),
        2
    );
}

#[test]
fn a_pod_with_the_source_never_gets_an_fs_group() {
    let job = manifest(
        "persistentVolumeClaim: {claimName: raw}",
        "  mover: {securityContext: {fsGroup: 7, supplementalGroups: [9]}}",
    );
    let pod = alone(&validated(&job), &facts());
    let (security, _) = security(&pod);
    assert_eq!(security.fs_group, None);
    assert_eq!(security.supplemental_groups, Some(vec![9]));
}

#[test]
fn a_pod_that_the_operator_made_stays_until_its_result_was_read_and_says_who_signed_it() {
    let job = validated(&manifest("persistentVolumeClaim: {claimName: raw}", ""));
    let mut facts = facts();
    facts.settings.keep_results = true;
    let (source, destination) = pods(&job, &facts);
    for pod in [&source, &destination] {
        assert_eq!(
            pod.metadata.finalizers,
            Some(vec!["blit.dev/result".to_owned()])
        );
    }
    assert_eq!(labels::authority(&destination), Some("authority"));
    assert_eq!(labels::authority(&source), None);
}

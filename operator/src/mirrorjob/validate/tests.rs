use super::*;
use blit_crds::parse_manifest;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

fn job(mover: &str) -> MirrorJob {
    manifest(
        "persistentVolumeClaim: {claimName: raw}",
        "persistentVolumeClaim: {claimName: copy}",
        mover,
    )
}

fn manifest(source: &str, destination: &str, mover: &str) -> MirrorJob {
    parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: nightly}}\nspec:\n  \
         operation: Mirror\n  source: {{{source}}}\n  destination: {{{destination}}}\n  mover: {mover}\n"
    ))
    .unwrap()
}

fn policy(maximum: PodSecurity, host_paths: &[&str]) -> Policy {
    Policy {
        maximum,
        host_paths: host_paths
            .iter()
            .map(|prefix| grant(prefix, true))
            .collect(),
    }
}

fn grant(prefix: &str, writable: bool) -> HostPathGrant {
    HostPathGrant {
        node: None,
        prefix: prefix.to_owned(),
        writable,
        special_files: false,
    }
}

/// Why a job is refused where the administrator allows everything but host paths.
fn refused(job: &MirrorJob) -> String {
    validate(job, &policy(PodSecurity::Privileged, &[]))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_plain_job_is_accepted_under_the_strictest_policy() {
    let validated = validate(&job("{}"), &policy(PodSecurity::Restricted, &[])).unwrap();
    assert_eq!(validated.name(), "nightly");
    assert_eq!(validated.claim(Side::Destination), Some("copy"));
}

#[test]
fn the_rules_of_the_resource_hold_here_too() {
    let mut job = job("{}");
    job.spec.bandwidth_limit = Some(Quantity("100Mi".to_owned()));
    let message = refused(&job);
    assert!(
        message.contains("is not supported by this version of blit"),
        "{message}"
    );
}

#[test]
fn more_than_the_administrator_allows_is_not_granted() {
    let job = job("{destination: {podSecurity: Baseline}}");
    let refusal = validate(&job, &policy(PodSecurity::Restricted, &[])).unwrap_err();
    assert_eq!(refusal.reason(), Reason::PermissionNotGranted);
    assert_eq!(
        refusal.to_string(),
        "the destination mover asks for podSecurity Baseline, but this namespace allows at most \
         Restricted; ask its administrator for the annotation blit.dev/pod-security"
    );
    assert!(validate(&job, &policy(PodSecurity::Baseline, &[])).is_ok());
}

#[test]
fn a_host_path_needs_an_allowed_directory_that_contains_it() {
    let job = manifest(
        "hostPath: {nodeName: n1, path: /srv/data/2024}",
        "persistentVolumeClaim: {claimName: copy}",
        "{source: {podSecurity: Privileged}}",
    );
    let place = |allowed: &[&str]| {
        validate(&job, &policy(PodSecurity::Privileged, allowed)).map(|job| job.source().clone())
    };
    let on = |prefix: &str| {
        Ok(SourcePlace::HostPath {
            node: "n1".to_owned(),
            prefix: prefix.to_owned(),
        })
    };
    assert_eq!(place(&["/srv"]), on("/srv"));
    assert_eq!(place(&["/srv", "/srv/data", "/"]), on("/srv/data"));
    for allowed in [&["/srv/da"] as &[&str], &["/srv/data/2024/a"], &[]] {
        let refusal = place(allowed).unwrap_err();
        assert_eq!(refusal.reason(), Reason::HostPathNotAllowed);
        assert!(
            refusal
                .to_string()
                .starts_with("hostPath `/srv/data/2024` of node `n1` is not")
        );
    }
}

#[test]
fn a_directory_of_a_node_is_written_only_where_that_is_allowed() {
    let job = manifest(
        "persistentVolumeClaim: {claimName: raw}",
        "hostPath: {nodeName: n1, path: /srv/data/a}",
        "{podSecurity: Privileged}",
    );
    let place = |grants: Vec<HostPathGrant>| {
        let policy = Policy {
            maximum: PodSecurity::Privileged,
            host_paths: grants,
        };
        validate(&job, &policy).map(|job| job.destination().clone())
    };
    let on = |prefix: &str, special_files| {
        Ok(DestinationPlace::HostPath {
            node: "n1".to_owned(),
            prefix: prefix.to_owned(),
            special_files,
        })
    };
    let special = |prefix| HostPathGrant {
        special_files: true,
        ..grant(prefix, true)
    };
    assert_eq!(place(vec![grant("/srv", true)]), on("/srv", false));
    assert_eq!(
        place(vec![grant("/srv", true), grant("/srv/data", false)]),
        on("/srv", false)
    );
    assert_eq!(
        place(vec![special("/srv"), grant("/srv/data", true)]),
        on("/srv/data", false)
    );
    assert_eq!(
        place(vec![special("/srv"), grant("/srv", true)]),
        on("/srv", true)
    );
    let refusal = place(vec![grant("/srv", false)]).unwrap_err();
    assert_eq!(refusal.reason(), Reason::HostPathNotAllowed);
    assert_eq!(
        refusal.to_string(),
        "hostPath `/srv/data/a` of node `n1` is not allowed as a destination; ask the administrator of the \
         cluster to allow a directory that contains it"
    );
}

#[test]
fn a_directory_allowed_on_one_node_is_not_allowed_on_another() {
    let job = manifest(
        "hostPath: {nodeName: n1, path: /srv}",
        "persistentVolumeClaim: {claimName: copy}",
        "{source: {podSecurity: Privileged}}",
    );
    let allowed = |node: &str| {
        let policy = Policy {
            maximum: PodSecurity::Privileged,
            host_paths: vec![HostPathGrant {
                node: Some(node.to_owned()),
                ..grant("/srv", false)
            }],
        };
        validate(&job, &policy).is_ok()
    };
    assert!(allowed("n1"));
    assert!(!allowed("n2"));
}

#[test]
fn reserved_labels_and_annotations_are_refused_by_name() {
    for key in [
        "blit.dev/side",
        "app.kubernetes.io/name",
        "k8s.v1.cni.cncf.io/networks",
        "cni.projectcalico.org/ipAddrs",
        "container.apparmor.security.beta.kubernetes.io/mover",
        "sidecar.istio.io/inject",
        "kubernetes.io/ingress-bandwidth",
    ] {
        for field in ["podLabels", "podAnnotations"] {
            let message = refused(&job(&format!("{{source: {{{field}: {{{key}: x}}}}}}")));
            assert!(
                message.contains(&format!("`{key}` is reserved")),
                "{message}"
            );
        }
    }
    for key in [
        "team",
        "example.com/blit.dev",
        "myblit.dev/a",
        "kubernetes.io/x",
    ] {
        assert!(
            validate(
                &job(&format!("{{podLabels: {{{key}: x}}}}")),
                &policy(PodSecurity::Restricted, &[])
            )
            .is_ok(),
            "{key}"
        );
    }
}

#[test]
fn a_user_that_contradicts_the_level_is_refused() {
    let message = refused(&job("{securityContext: {runAsUser: 0}}"));
    assert!(
        message.contains("user 0 is not allowed under podSecurity Restricted"),
        "{message}"
    );
    assert_eq!(
        message.matches("runAsUser").count(),
        1,
        "said once for both sides: {message}"
    );
    let message = refused(&job(
        "{podSecurity: Baseline, securityContext: {runAsUser: 1000}}",
    ));
    assert!(
        message.contains("has no meaning above podSecurity Restricted"),
        "{message}"
    );
}

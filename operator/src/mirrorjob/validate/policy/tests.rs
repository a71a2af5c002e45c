use std::path::Path;

use blit_crds::mirrorjob::PodSecurity;
use blit_crds::parse_manifest;

use super::*;
use crate::mirrorjob::dereference::fixtures::cluster;
use crate::mirrorjob::validate::{DestinationPlace, Refusal, validate};

fn settings(lines: &str) -> Settings {
    let text = format!("image: blit.test/blit\n{lines}");
    Settings::parse(Path::new("operator.yaml"), &text).unwrap()
}

/// A job of namespace `team` from a claim to `/srv/data/x` of node `a`.
fn job() -> MirrorJob {
    parse_manifest(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {name: nightly, namespace: team}\nspec:\n  \
         operation: Copy\n  source: {persistentVolumeClaim: {claimName: raw}}\n  \
         destination: {hostPath: {nodeName: a, path: /srv/data/x}}\n  mover: {podSecurity: Privileged}\n",
    )
    .unwrap()
}

fn world() -> World {
    World {
        pod_security: Some("privileged".to_owned()),
        ..cluster(&["a", "b"])
    }
}

#[test]
fn the_annotation_of_the_namespace_grants_a_level_up_to_the_maximum() {
    let maximum = |lines: &str, world: &World| Policy::of(&settings(lines), &job(), world).maximum;
    assert_eq!(maximum("", &world()), PodSecurity::Privileged);
    assert_eq!(maximum("", &World::default()), PodSecurity::Restricted);
    assert_eq!(
        maximum("podSecurity: {maximum: Baseline}", &world()),
        PodSecurity::Baseline
    );
    assert_eq!(
        maximum(
            "podSecurity: {namespaces: {team: Baseline}}",
            &World::default()
        ),
        PodSecurity::Baseline
    );
}

#[test]
fn a_rule_for_host_paths_holds_for_its_namespaces_nodes_and_access() {
    let cases = [
        ("{prefix: /srv, access: ReadWrite}", true),
        ("{prefix: /srv}", false),
        (
            "{prefix: /srv, access: ReadWrite, namespaces: [team]}",
            true,
        ),
        (
            "{prefix: /srv, access: ReadWrite, namespaces: [other]}",
            false,
        ),
        (
            "{prefix: /srv, access: ReadWrite, nodeSelector: {host: a}}",
            true,
        ),
        (
            "{prefix: /srv, access: ReadWrite, nodeSelector: {host: b}}",
            false,
        ),
    ];
    for (rule, allowed) in cases {
        let settings = settings(&format!("hostPath: {{allow: [{rule}]}}"));
        match validate(&job(), &Policy::of(&settings, &job(), &world())) {
            Ok(_) => assert!(allowed, "{rule}"),
            Err(refusal) => {
                assert!(
                    matches!(refusal, Refusal::HostPathNotAllowed { .. }),
                    "{refusal}"
                );
                assert!(!allowed, "{rule}");
            }
        }
    }
}

#[test]
fn the_longest_rule_says_whether_special_files_are_written() {
    let settings = settings(
        "hostPath: {allow: [{prefix: /srv, access: ReadWrite, specialFiles: true}, {prefix: /srv/data, access: ReadWrite}]}",
    );
    let validated = validate(&job(), &Policy::of(&settings, &job(), &world())).unwrap();
    assert_eq!(
        *validated.destination(),
        DestinationPlace::HostPath {
            node: "a".to_owned(),
            prefix: "/srv/data".to_owned(),
            special_files: false,
        }
    );
}

#[test]
fn a_node_whose_labels_cannot_be_read_has_only_what_every_node_has() {
    let world = World {
        nodes: None,
        ..world()
    };
    let allowed = |rule: &str| {
        let settings = settings(&format!("hostPath: {{allow: [{rule}]}}"));
        validate(&job(), &Policy::of(&settings, &job(), &world)).is_ok()
    };
    assert!(allowed("{prefix: /srv, access: ReadWrite}"));
    assert!(!allowed(
        "{prefix: /srv, access: ReadWrite, nodeSelector: {host: a}}"
    ));
}

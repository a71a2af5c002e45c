//! One pod or two, and on which nodes.

use super::*;
use crate::mirrorjob::dereference::{Binding, Claim};

#[test]
fn two_volumes_that_one_node_reaches_are_one_pods() {
    let cases: [(&str, World, &str); 8] = [
        ("both anywhere", world(), "one *"),
        ("one local", world().reached_from("raw", &["a"]), "one a"),
        (
            "both local to one node",
            world()
                .reached_from("raw", &["a"])
                .reached_from("copy", &["a"]),
            "one a",
        ),
        (
            "both local, apart",
            world()
                .reached_from("raw", &["a"])
                .reached_from("copy", &["b"]),
            "two a b",
        ),
        (
            "both of several nodes",
            cluster(&["a", "b", "c"])
                .with_claims([
                    claim("raw", "ReadWriteMany"),
                    claim("copy", "ReadWriteMany"),
                ])
                .reached_from("raw", &["a", "b"])
                .reached_from("copy", &["b", "c"]),
            "one b",
        ),
        (
            "the source in use",
            world().with_pods([running("web", &["raw"], "b")]),
            "one b",
        ),
        (
            "the source in use, the destination local elsewhere",
            world()
                .reached_from("copy", &["a"])
                .with_pods([running("web", &["raw"], "b")]),
            "two b a",
        ),
        (
            "attached apart",
            world().attached("raw", "a").attached("copy", "b"),
            "two a b",
        ),
    ];
    for (case, world, expected) in cases {
        assert_eq!(summary(&placed(&job("{}"), &world)), expected, "{case}");
    }
}

#[test]
fn an_unbound_destination_is_tried_in_one_pod_and_then_in_two() {
    let world = cluster(&["a", "b"])
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            unbound("copy", Binding::WaitForFirstConsumer),
        ])
        .reached_from("raw", &["a", "b"]);
    let summary = |alone_refused| summary(&place(&job("{}"), &world, alone_refused).unwrap());
    assert_eq!(summary(false), "one a|b");
    assert_eq!(summary(true), "two a|b *");
}

#[test]
fn an_unbound_destination_that_the_only_node_of_the_source_cannot_have_gets_its_own() {
    let world = cluster(&["a", "b"])
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            unbound("copy", Binding::WaitForFirstConsumer),
        ])
        .reached_from("raw", &["a"]);
    let summary = |alone_refused| summary(&place(&job("{}"), &world, alone_refused).unwrap());
    assert_eq!(summary(false), "one a");
    assert_eq!(summary(true), "two a *");
}

#[test]
fn a_claim_that_will_be_made_from_a_template_is_like_an_unbound_one() {
    let job = job_of(
        SOURCE,
        "persistentVolumeClaim: {claimName: copy, template: {storage: 1Gi}}",
        "{}",
    );
    let world = cluster(&["a", "b"])
        .with_claims([claim("raw", "ReadWriteOnce")])
        .reached_from("raw", &["a"]);
    assert_eq!(summary(&placed(&job, &world)), "one a");
    assert_eq!(placed(&job, &world).destination.volume, None);
}

#[test]
fn one_pod_stays_one_where_two_would_be_on_the_same_node() {
    let world = world()
        .reached_from("raw", &["a"])
        .reached_from("copy", &["a"]);
    let placement = place(&job("{}"), &world, true).unwrap();
    assert_eq!(summary(&placement), "one a");
}

#[test]
fn one_claim_on_both_sides_is_one_pod_whatever_happens() {
    for mover in [
        "{}",
        "{securityContext: {fsGroup: 5}}",
        "{destination: {podSecurity: Baseline}}",
    ] {
        let job = job_of(
            "persistentVolumeClaim: {claimName: raw, path: /x}",
            "persistentVolumeClaim: {claimName: raw, path: /y}",
            mover,
        );
        for alone_refused in [false, true] {
            let world = cluster(&["a", "b"]).with_claims([claim("raw", "ReadWriteOncePod")]);
            let placement = place(&job, &world, alone_refused).unwrap();
            assert_eq!(placement.pods, Pods::One, "{mover}");
        }
    }
}

#[test]
fn sides_that_contradict_each_other_are_two_pods_on_the_same_node() {
    let world = world()
        .reached_from("raw", &["a"])
        .reached_from("copy", &["a"]);
    for mover in [
        "{destination: {podSecurity: Baseline}}",
        "{source: {priorityClassName: low}}",
        "{source: {securityContext: {runAsUser: 7}}}",
        "{source: {nodeSelector: {host: a}}}",
        "{destination: {serviceAccountName: writer}}",
        "{securityContext: {fsGroup: 5}}",
    ] {
        assert_eq!(summary(&placed(&job(mover), &world)), "two a a", "{mover}");
    }
    let resources = "{source: {resources: {limits: {memory: 1Gi}}}}";
    assert_eq!(summary(&placed(&job(resources), &world)), "one a");
}

#[test]
fn the_pod_that_uses_a_claim_gives_its_user_tolerations_and_labels_of_selinux() {
    let options = k8s_openapi::api::core::v1::SELinuxOptions {
        level: Some("s0:c1".to_owned()),
        ..Default::default()
    };
    let mut web = running("web", &["raw"], "a");
    web.user = Some(1000);
    web.tolerations = vec![tolerates("gpu")];
    web.se_linux_options = Some(options.clone());
    let world = world()
        .with_pods([web])
        .with_node("a", |node| node.taints = vec![taint("gpu", "NoSchedule")]);
    // Apart, only the source has them.
    let apart = placed(&job("{securityContext: {fsGroup: 5}}"), &world);
    assert_eq!(summary(&apart), "two a *");
    assert_eq!(apart.source.facts.user, Some(1000));
    assert_eq!(apart.source.facts.tolerations, [tolerates("gpu")]);
    assert_eq!(apart.source.facts.se_linux_options, Some(options));
    assert_eq!(apart.destination.facts, PlaceFacts::default());
    // Together, the pod has them.
    let together = placed(&job("{}"), &world);
    assert_eq!(summary(&together), "one a");
    assert_eq!(together.destination.facts, apart.source.facts);
}

#[test]
fn the_movers_of_other_jobs_give_no_user() {
    let mut mover = running("other-a1-source", &["raw"], "a");
    mover.mover_of = Some("f00d".to_owned());
    mover.user = Some(1000);
    mover.tolerations = vec![tolerates("gpu")];
    let placement = placed(&job("{}"), &world().with_pods([mover]));
    assert_eq!(summary(&placement), "one a");
    assert_eq!(placement.source.facts.user, None);
    assert_eq!(placement.source.facts.tolerations, [tolerates("gpu")]);
}

#[test]
fn pods_of_different_users_make_two_pods_unless_the_job_says_who() {
    let job_beside = |mover: &str| {
        let destination = "persistentVolumeClaim: {claimName: copy, inUse: Colocate}";
        job_of(SOURCE, destination, mover)
    };
    let user = |mut pod: ClaimPod, user| {
        pod.user = Some(user);
        pod
    };
    let world = world().with_pods([
        user(running("reader", &["raw"], "a"), 1000),
        user(running("writer", &["copy"], "a"), 2000),
    ]);
    assert_eq!(summary(&placed(&job_beside("{}"), &world)), "two a a");
    for mover in [
        "{securityContext: {runAsUser: 7}}",
        "{podSecurity: Baseline}",
    ] {
        assert_eq!(
            summary(&placed(&job_beside(mover), &world)),
            "one a",
            "{mover}"
        );
    }
}

#[test]
fn a_source_that_can_only_be_read_is_mounted_so() {
    let read_only = |world: &World| {
        let placement = placed(&job("{}"), world);
        let of = |side| placement.of(side).facts.read_only;
        (of(Side::Source), of(Side::Destination))
    };
    assert_eq!(read_only(&world()), (false, false));
    let changes: [fn(&mut Claim); 3] = [
        |claim| claim.access_modes = vec!["ReadOnlyMany".to_owned()],
        |claim| claim.volume_modes = vec!["ReadOnlyMany".to_owned()],
        |claim| claim.volume.as_mut().unwrap().read_only = true,
    ];
    for change in changes {
        assert_eq!(read_only(&world().with_claim("raw", change)), (true, false));
    }
}

#[test]
fn the_volumes_are_named_for_the_status() {
    let placement = placed(&job("{}"), &world());
    assert_eq!(placement.source.volume.as_deref(), Some("raw-volume"));
    assert_eq!(placement.destination.volume.as_deref(), Some("copy-volume"));
}

#[test]
fn a_host_path_is_on_its_node() {
    let host = |path: &str| format!("hostPath: {{nodeName: a, path: {path}}}");
    let cases = [
        (host("/srv/x"), DESTINATION.to_owned(), "one a"),
        (SOURCE.to_owned(), host("/srv/x"), "one a"),
        (host("/srv/x"), host("/srv/y"), "one a"),
        (
            host("/srv/x"),
            "hostPath: {nodeName: b, path: /srv/y}".to_owned(),
            "two a b",
        ),
    ];
    for (source, destination, expected) in cases {
        let job = job_of(&source, &destination, "{podSecurity: Privileged}");
        assert_eq!(summary(&placed(&job, &world())), expected, "{source}");
        assert_eq!(summary(&placed(&job, &world().namespaced())), expected);
    }
}

#[test]
fn many_nodes_are_left_to_the_scheduler() {
    let names: Vec<String> = (0..20).map(|number| format!("n{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = |reached: usize| {
        cluster(&names)
            .with_claims([
                claim("raw", "ReadWriteMany"),
                claim("copy", "ReadWriteMany"),
            ])
            .reached_from("raw", &names[..reached])
    };
    assert_eq!(summary(&placed(&job("{}"), &world(17))), "one *");
    let listed = placed(&job("{}"), &world(16)).source.facts.nodes.unwrap();
    assert_eq!(listed, names[..16]);
}

#[test]
fn without_the_right_to_read_nodes_the_pods_that_use_a_claim_decide() {
    let world = world()
        .with_pods([running("web", &["raw"], "b")])
        .namespaced();
    assert_eq!(summary(&placed(&job("{}"), &world)), "one b");
    let unused = self::world().reached_from("raw", &["a"]).namespaced();
    assert_eq!(summary(&placed(&job("{}"), &unused)), "one *");
    let refused = place(&job("{nodeSelector: {host: z}}"), &unused, true).unwrap();
    assert_eq!(summary(&refused), "two * *");
}

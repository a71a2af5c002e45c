//! Claims that are missing, not ready, unfit or somebody else's.

use super::*;
use crate::mirrorjob::dereference::{Binding, Claim, ClaimPhase};

#[test]
fn a_claim_that_does_not_exist_is_waited_for() {
    let world = cluster(&["a"]).with_claims([claim("raw", "ReadWriteOnce")]);
    assert_eq!(
        waits(&job("{}"), &world),
        (
            Reason::ClaimNotFound,
            "claim `copy` of the destination does not exist in namespace `team`; make it, or give it a template".to_owned()
        )
    );
    let world = cluster(&["a"]).with_claims([claim("copy", "ReadWriteOnce")]);
    let (reason, message) = waits(&job("{}"), &world);
    assert_eq!(reason, Reason::ClaimNotFound);
    assert_eq!(
        message,
        "claim `raw` of the source does not exist in namespace `team`; make it"
    );
}

#[test]
fn a_claim_without_a_volume_is_waited_for_and_the_message_says_whose_turn_it_is() {
    let pending = |binding| {
        move |claim: &mut Claim| {
            claim.phase = ClaimPhase::Pending;
            claim.storage_class = Some("fast".to_owned());
            claim.binding = binding;
        }
    };
    let cases = [
        (
            "copy",
            Binding::Immediate,
            "storage class `fast` should have made",
        ),
        ("copy", Binding::NoClass, "make a volume that fits it"),
        (
            "copy",
            Binding::ClassNotFound,
            "its storage class `fast` does not exist",
        ),
        (
            "raw",
            Binding::WaitForFirstConsumer,
            "there is nothing to read",
        ),
        ("raw", Binding::Immediate, "see `kubectl describe pvc raw`"),
    ];
    for (name, binding, expected) in cases {
        let (reason, message) = waits(&job("{}"), &world().with_claim(name, pending(binding)));
        assert_eq!(reason, Reason::ClaimNotBound, "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&format!("claim `{name}`")), "{message}");
    }
}

#[test]
fn a_claim_that_is_lost_or_going_is_waited_for() {
    let lost = world().with_claim("raw", |claim| claim.phase = ClaimPhase::Lost);
    let (reason, message) = waits(&job("{}"), &lost);
    assert_eq!(reason, Reason::ClaimNotBound);
    assert!(
        message.contains("has lost its volume `raw-volume`"),
        "{message}"
    );
    let going = world().with_claim("copy", |claim| claim.terminating = true);
    let (reason, message) = waits(&job("{}"), &going);
    assert_eq!(reason, Reason::ClaimNotFound);
    assert!(
        message.contains("claim `copy` of the destination is being deleted"),
        "{message}"
    );
}

#[test]
fn a_device_without_files_and_a_destination_that_cannot_be_written_are_refused() {
    let refused = |world: &World| match place(&job("{}"), world, false).unwrap_err() {
        NotPlaced::Refuse { message } => message,
        NotPlaced::Wait(wait) => panic!("waits: {}", wait.message),
    };
    for name in ["raw", "copy"] {
        let message = refused(&world().with_claim(name, |claim| claim.block = true));
        assert!(
            message.starts_with("VolumeModeUnsupported: claim"),
            "{message}"
        );
        assert!(message.contains(name), "{message}");
    }
    let read_only =
        cluster(&["a"]).with_claims([claim("raw", "ReadWriteOnce"), claim("copy", "ReadOnlyMany")]);
    assert!(
        refused(&read_only).contains("`copy` of the destination can only be mounted read-only")
    );
}

#[test]
fn a_destination_that_another_pod_uses_is_waited_for_whatever_its_mode() {
    for mode in ["ReadWriteOnce", "ReadWriteMany"] {
        for user in [
            running("web-0", &["copy"], "a"),
            starting("web-0", &["copy"], "a"),
        ] {
            let world = cluster(&["a", "b"])
                .with_claims([claim("raw", "ReadWriteOnce"), claim("copy", mode)])
                .with_pods([user]);
            assert_eq!(
                waits(&job("{}"), &world),
                (
                    Reason::VolumeInUse,
                    "claim `copy` of the destination is in use by pod `web-0` on node `a`; stop the pod, or make the job \
                     with inUse: Colocate to write beside it"
                        .to_owned()
                )
            );
        }
    }
    let not_yet = world().with_pods([unscheduled("web-0", &["copy"], None)]);
    assert_eq!(summary(&placed(&job("{}"), &not_yet)), "one *");
}

#[test]
fn a_destination_is_written_beside_its_pod_if_the_job_says_so() {
    let job = job_of(
        SOURCE,
        "persistentVolumeClaim: {claimName: copy, inUse: Colocate}",
        "{}",
    );
    for mode in ["ReadWriteOnce", "ReadWriteMany"] {
        let world = cluster(&["a", "b"])
            .with_claims([claim("raw", "ReadWriteOnce"), claim("copy", mode)])
            .with_pods([running("web", &["copy"], "b")]);
        assert_eq!(summary(&placed(&job, &world)), "one b", "{mode}");
    }
    let world = cluster(&["a", "b"])
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            claim("copy", "ReadWriteOncePod"),
        ])
        .with_pods([running("web", &["copy"], "b")]);
    assert_eq!(waits(&job, &world).0, Reason::VolumeInUse);
}

#[test]
fn the_movers_of_other_jobs_do_not_count_as_users_of_a_destination() {
    let mut mover = running("other-a1-destination", &["copy"], "b");
    mover.mover_of = Some("f00d".to_owned());
    // The volume of one node keeps it all the same.
    let world = world().with_pods([mover.clone()]);
    assert_eq!(summary(&placed(&job("{}"), &world)), "one b");
    let shared = cluster(&["a", "b"])
        .with_claims([
            claim("raw", "ReadWriteOnce"),
            claim("copy", "ReadWriteMany"),
        ])
        .with_pods([mover]);
    assert_eq!(summary(&placed(&job("{}"), &shared)), "one *");
}

#[test]
fn a_claim_of_one_pod_is_waited_for_on_either_side_with_the_pod_named() {
    let mut mover = running("other-a1-source", &["raw"], "a");
    mover.mover_of = Some("f00d".to_owned());
    let cases = [
        (
            running("db-0", &["raw"], "a"),
            Some("pod `db-0` on node `a` has it"),
        ),
        (
            starting("db-0", &["raw"], "a"),
            Some("pod `db-0` on node `a` has it"),
        ),
        (mover, Some("pod `other-a1-source` on node `a` has it")),
        // It comes next.
        (
            unscheduled("db-0", &["raw"], Some(ONE_POD_REFUSED)),
            Some("pod `db-0` has it"),
        ),
        (
            unscheduled("db-0", &["raw"], None),
            Some("pod `db-0` has it"),
        ),
        // It waits for something else, and would wait forever.
        (
            unscheduled("db-0", &["raw"], Some("0/2 nodes: Insufficient cpu")),
            None,
        ),
    ];
    for (user, expected) in cases {
        let world = cluster(&["a", "b"])
            .with_claims([
                claim("raw", "ReadWriteOncePod"),
                claim("copy", "ReadWriteOnce"),
            ])
            .with_pods([user]);
        match expected {
            None => assert_eq!(summary(&placed(&job("{}"), &world)), "one *"),
            Some(expected) => {
                let (reason, message) = waits(&job("{}"), &world);
                assert_eq!(reason, Reason::VolumeInUse);
                assert!(message.contains(expected), "{message}");
                assert!(
                    message.contains("claim `raw` of the source is for a single pod"),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn a_source_of_one_node_follows_the_pod_that_runs_and_a_shared_one_nobody() {
    let pods = || {
        [
            starting("late", &["raw"], "a"),
            running("web", &["raw"], "b"),
        ]
    };
    let one_node = world().with_pods(pods());
    assert_eq!(summary(&placed(&job("{}"), &one_node)), "one b");
    for mode in ["ReadWriteMany", "ReadOnlyMany"] {
        let shared = cluster(&["a", "b"])
            .with_claims([claim("raw", mode), claim("copy", "ReadWriteOnce")])
            .with_pods(pods());
        assert_eq!(summary(&placed(&job("{}"), &shared)), "one *", "{mode}");
    }
    let only_starting = world().with_pods([starting("late", &["raw"], "a")]);
    assert_eq!(summary(&placed(&job("{}"), &only_starting)), "one a");
}

#[test]
fn the_modes_of_the_volume_decide_how_many_nodes_it_is_for() {
    let world = world()
        .with_claim("raw", |claim| {
            claim.volume_modes = vec!["ReadWriteOnce".to_owned(), "ReadWriteMany".to_owned()];
        })
        .with_pods([running("web", &["raw"], "b")]);
    assert_eq!(summary(&placed(&job("{}"), &world)), "one *");
}

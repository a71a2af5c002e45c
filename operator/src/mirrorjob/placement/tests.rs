//! The rules of placement, each in a cluster of a few words.

mod claims;
mod nodes;
mod pods;
mod unscheduled;

use blit_crds::parse_manifest;

use super::*;
use crate::mirrorjob::dereference::fixtures::*;
use crate::mirrorjob::validate::{HostPathGrant, Policy, validate};

const SOURCE: &str = "persistentVolumeClaim: {claimName: raw}";
const DESTINATION: &str = "persistentVolumeClaim: {claimName: copy}";

/// A job from claim `raw` to claim `copy` with these settings of the movers.
fn job(mover: &str) -> ValidatedJob {
    job_of(SOURCE, DESTINATION, mover)
}

fn job_of(source: &str, destination: &str, mover: &str) -> ValidatedJob {
    let job = parse_manifest(&format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: nightly, namespace: team, uid: 7c1e}}\nspec:\n  \
         operation: Mirror\n  source: {{{source}}}\n  destination: {{{destination}}}\n  mover: {mover}\n"
    ))
    .unwrap();
    let policy = Policy {
        maximum: PodSecurity::Privileged,
        host_paths: vec![HostPathGrant {
            node: None,
            prefix: "/srv".to_owned(),
            writable: true,
            special_files: false,
        }],
    };
    validate(&job, &policy).unwrap()
}

/// Nodes `a` and `b` with the bound claims `raw` and `copy` of one node each.
fn world() -> World {
    cluster(&["a", "b"]).with_claims([
        claim("raw", "ReadWriteOnce"),
        claim("copy", "ReadWriteOnce"),
    ])
}

fn placed(job: &ValidatedJob, world: &World) -> Placement {
    place(job, world, false).unwrap()
}

/// What the job waits for.
fn waits(job: &ValidatedJob, world: &World) -> (Reason, String) {
    match place(job, world, false).unwrap_err() {
        NotPlaced::Wait(wait) => (wait.reason, wait.message),
        NotPlaced::Refuse { message } => panic!("refused: {message}"),
    }
}

/// In how many pods, and the nodes of source and destination: `one a`, `two a|b *`.
fn summary(placement: &Placement) -> String {
    let nodes = |place: &Place| match &place.facts.nodes {
        Some(nodes) => nodes.join("|"),
        None => "*".to_owned(),
    };
    match placement.pods {
        Pods::One => {
            assert_eq!(
                placement.source.facts.nodes,
                placement.destination.facts.nodes
            );
            format!("one {}", nodes(&placement.source))
        }
        Pods::Two => format!(
            "two {} {}",
            nodes(&placement.source),
            nodes(&placement.destination)
        ),
    }
}

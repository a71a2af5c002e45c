//! Reads what surrounds a job. Whatever the caller may not read, or is not answered, is left out and named.

use blit_crds::MirrorJob;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, Client};

use super::facts::{Facts, claims, seen};
use crate::kubectl::error::said;
use crate::mirrorjob::build::labels::job_uid;

/// Labels of the operator's own pods.
const OPERATOR: &str = "app.kubernetes.io/name=blit,app.kubernetes.io/component=operator";

/// Reads what surrounds a job.
pub(super) async fn gather(client: &Client, job: &MirrorJob) -> Facts {
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let mut facts = Facts::default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    match pods.list(&ListParams::default()).await {
        Ok(list) => {
            let pods = list.items.into_iter();
            (facts.movers, facts.others) = pods.partition(|pod| job_uid(pod) == Some(uid.as_str()));
        }
        Err(error) => facts
            .unseen
            .push(format!("pods of the namespace: {}", said(&error))),
    }
    let volumes: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    match volumes.list(&ListParams::default()).await {
        Ok(list) => {
            let named = list.items.into_iter();
            let named = named.filter_map(|claim| Some((claim.metadata.name.clone()?, claim)));
            facts.claims = Some(named.collect());
        }
        Err(error) => facts
            .unseen
            .push(format!("claims of the namespace: {}", said(&error))),
    }
    let everywhere: Api<Pod> = Api::all(client.clone());
    match everywhere
        .list(&ListParams::default().labels(OPERATOR))
        .await
    {
        Ok(list) => facts.operators = Some(list.items),
        // Few may look there, and it matters only when nothing happens.
        Err(_) if is_seen(job) => {}
        Err(error) => facts.unseen.push(format!("the operator: {}", said(&error))),
    }
    events(client, job, &namespace, &mut facts).await;
    facts
}

/// Reads the events of the job, its pods and its claims.
async fn events(client: &Client, job: &MirrorJob, namespace: &str, facts: &mut Facts) {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let of =
        |kind: &str, name: &str| format!("involvedObject.kind={kind},involvedObject.name={name}");
    let name = job.metadata.name.clone().unwrap_or_default();
    let mut fields = vec![of("MirrorJob", &name)];
    let movers = facts
        .movers
        .iter()
        .filter_map(|pod| pod.metadata.name.as_deref());
    fields.extend(movers.map(|pod| of("Pod", pod)));
    fields.extend(
        claims(job)
            .into_iter()
            .map(|claim| of("PersistentVolumeClaim", claim)),
    );
    for selector in fields {
        match api.list(&ListParams::default().fields(&selector)).await {
            Ok(list) => facts.events.extend(list.items),
            Err(error) => {
                facts.unseen.push(format!("events: {}", said(&error)));
                break;
            }
        }
    }
    let made = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    // Names come again; what is older than the job is about another one.
    facts.events.retain(|event| {
        let of_job = event.involved_object.kind.as_deref() == Some("MirrorJob");
        !of_job || event.involved_object.uid == job.metadata.uid && seen(event) >= made
    });
    facts.events.sort_by_key(seen);
}

/// Returns whether an operator has seen the job as it is now.
fn is_seen(job: &MirrorJob) -> bool {
    let seen = job
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    seen >= job.metadata.generation
}

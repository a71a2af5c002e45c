//! Step one: what the cluster says about the places of a job.
//!
//! Everything is read anew for each attempt, and only what the job at hand needs: its namespace, its claims
//! with their volumes, the pods that use them and the nodes. What comes out is a [`World`], plain data.
//!
//! Nodes and attachments may be a moment old (they come from the cache of the API server); claims and pods
//! are as they are now, because two pods that write one claim would be the price. Nothing is watched.

#[cfg(test)]
pub(crate) mod fixtures;
mod read;
mod world;

use std::collections::BTreeSet;
use std::fmt::Debug;

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Destination, Source};
use k8s_openapi::api::core::v1::{
    self as core, Namespace, PersistentVolume, PersistentVolumeClaim, Pod,
};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttachment};
use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;

pub(in crate::mirrorjob) use read::{claims_of, has_ended, state};
pub use world::{Binding, Claim, ClaimPhase, ClaimPod, Node, PodState, Volume, World};

use crate::settings::POD_SECURITY_ANNOTATION;

/// Objects of a page of a list.
const PAGE: u32 = 500;

/// Reads what the cluster says about the places of a job. Without `cluster_scoped`, nodes, volumes and
/// storage classes stay unknown.
///
/// # Errors
/// Fails when the API server does not answer or denies a request.
pub async fn dereference(
    client: &Client,
    job: &MirrorJob,
    cluster_scoped: bool,
) -> Result<World, kube::Error> {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let names = claim_names(job);
    let mut world = World {
        pod_security: annotation(client, namespace, cluster_scoped).await?,
        ..World::default()
    };
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    for name in &names {
        if let Some(found) = claims.get_opt(name).await? {
            let mut claim = read::claim(&found);
            if cluster_scoped {
                storage(client, &mut claim).await?;
            }
            world.claims.insert((*name).to_owned(), claim);
        }
    }
    if !world.claims.is_empty() {
        let uid = job.metadata.uid.as_deref();
        world.pods = pods(client, namespace, &names, uid).await?;
    }
    if cluster_scoped {
        let nodes = Api::<core::Node>::all(client.clone());
        let anything = ListParams::default().match_any();
        world.nodes = Some(pages(&nodes, anything, |node| Some(read::node(node))).await?);
    }
    Ok(world)
}

fn claim_names(job: &MirrorJob) -> BTreeSet<&str> {
    let source = match &job.spec.source {
        Source::PersistentVolumeClaim(claim) => Some(claim.claim_name.as_str()),
        Source::HostPath(_) => None,
    };
    let destination = match &job.spec.destination {
        Destination::PersistentVolumeClaim(claim) => Some(claim.claim_name.as_str()),
        Destination::HostPath(_) | Destination::Nodes(_) => None,
    };
    source.into_iter().chain(destination).collect()
}

/// Reads the annotation of the namespace. An operator of single namespaces need not have the right to; then
/// nothing is granted.
async fn annotation(
    client: &Client,
    namespace: &str,
    cluster_scoped: bool,
) -> Result<Option<String>, kube::Error> {
    let found = match Api::<Namespace>::all(client.clone())
        .get_opt(namespace)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_forbidden() && !cluster_scoped => None,
        found => found?,
    };
    Ok(found.and_then(|found| found.metadata.annotations?.remove(POD_SECURITY_ANNOTATION)))
}

/// Adds what is behind a claim: its volume, or when its storage class makes one.
async fn storage(client: &Client, claim: &mut Claim) -> Result<(), kube::Error> {
    if claim.phase == ClaimPhase::Pending {
        claim.binding = match &claim.storage_class {
            None => Binding::NoClass,
            Some(name) => Api::<StorageClass>::all(client.clone())
                .get_opt(name)
                .await?
                .map_or(Binding::ClassNotFound, |class| read::binding(&class)),
        };
        return Ok(());
    }
    let Some(name) = &claim.volume_name else {
        return Ok(());
    };
    let volumes = Api::<PersistentVolume>::all(client.clone());
    let Some(found) = volumes.get_opt(name).await? else {
        return Ok(());
    };
    let mut volume = read::volume(&found);
    if claim.is_of_one_node() && read::is_attachable(&found) {
        let attachments = Api::<VolumeAttachment>::all(client.clone());
        let anything = ListParams::default().match_any();
        let nodes = pages(&attachments, anything, |attachment| {
            read::attached_to(&attachment, name)
        });
        volume.attached_to = nodes.await?.into_iter().collect();
    }
    claim.volume = Some(volume);
    Ok(())
}

/// Reads the pods of the namespace that have not ended and use one of the claims.
async fn pods(
    client: &Client,
    namespace: &str,
    claims: &BTreeSet<&str>,
    job_uid: Option<&str>,
) -> Result<Vec<ClaimPod>, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let alive = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    let mut pods = pages(&pods, alive, |pod| read::pod(&pod, claims, job_uid)).await?;
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

/// Lists objects a page at a time, and keeps of each what is wanted of it.
async fn pages<K, T>(
    api: &Api<K>,
    parameters: ListParams,
    keep: impl Fn(K) -> Option<T>,
) -> Result<Vec<T>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut parameters = parameters.limit(PAGE);
    let mut kept = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        kept.extend(page.items.into_iter().filter_map(&keep));
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => {
                // The token says which state of the cluster is listed.
                parameters.version_match = None;
                parameters.resource_version = None;
                parameters = parameters.continue_token(&token);
            }
            _ => return Ok(kept),
        }
    }
}

//! Checks whether the cluster is as the operator needs it.

use std::time::Duration;

use blit_crds::MirrorJob;
use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Error};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::Readiness;
use super::permissions::{Permission, needed};
use crate::settings::Settings;

/// Name of the fact that the CustomResourceDefinition is there.
pub const DEFINITION: &str = "definition";

/// Name of the fact that all permissions are there.
pub const PERMISSIONS: &str = "permissions";

/// How often what is missing is looked for.
const PERIOD: Duration = Duration::from_secs(30);

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many questions are asked at once.
const AT_ONCE: usize = 8;

/// Checks [`DEFINITION`] and [`PERMISSIONS`] at once and then every 30 s, until both are there.
pub async fn check_until_ready(
    client: &Client,
    settings: &Settings,
    own_namespace: &str,
    readiness: &Readiness,
) {
    loop {
        let definition = definition(client, settings).await;
        let permissions = permissions(client, settings, own_namespace).await;
        let fine = definition.is_ok() && permissions.is_ok();
        for (name, fact) in [(DEFINITION, definition), (PERMISSIONS, permissions)] {
            if let Err(missing) = &fact {
                warn!("{name}: {}", missing.replace('\n', ", "));
            }
            readiness.set(name, fact);
        }
        if fine {
            info!("definition and permissions are there");
            return;
        }
        sleep(PERIOD).await;
    }
}

/// Lists one MirrorJob, or what stands for it.
async fn definition(client: &Client, settings: &Settings) -> Result<(), String> {
    let api: Api<MirrorJob> = match settings.watch_namespaces.first() {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    // Metadata only: an object that this version cannot read must not count as a missing definition.
    let params = ListParams::default().limit(1);
    match timeout(PATIENCE, api.list_metadata(&params)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Error::Api(status))) if status.code == 404 => Err(
            "mirrorjobs.blit.dev is not installed; install the chart with crds.install=true, or apply \
             crds/mirrorjobs.blit.dev.yaml"
                .to_owned(),
        ),
        // The permissions name it.
        Ok(Err(Error::Api(status))) if status.code == 403 => {
            Err("mirrorjobs.blit.dev cannot be listed; see permissions".to_owned())
        }
        Ok(Err(error)) => Err(format!("cannot list mirrorjobs: {error}")),
        Err(_) => Err("cannot list mirrorjobs: the API server does not answer".to_owned()),
    }
}

/// Asks the API server about each permission. What it cannot be asked about counts as missing.
async fn permissions(
    client: &Client,
    settings: &Settings,
    own_namespace: &str,
) -> Result<(), String> {
    let questions = needed(settings, own_namespace);
    let mut missing: Vec<String> = stream::iter(questions)
        .map(|permission| async move {
            match timeout(PATIENCE, is_allowed(client, &permission)).await {
                Ok(Ok(true)) => None,
                Ok(Ok(false)) => Some(format!("may not {permission}; give it in the role")),
                Ok(Err(error)) => Some(format!("cannot ask whether it may {permission}: {error}")),
                Err(_) => Some(format!("cannot ask whether it may {permission}: no answer")),
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    if missing.is_empty() {
        return Ok(());
    }
    missing.sort();
    Err(missing.join("\n"))
}

async fn is_allowed(client: &Client, permission: &Permission) -> Result<bool, Error> {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, below)) => (resource, Some(below.to_owned())),
        None => (permission.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(permission.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(permission.verb.to_owned()),
                namespace: permission.namespace.clone(),
                name: permission.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

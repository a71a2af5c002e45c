//! From what changes in the cluster to keys in the queue.

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;

use blit_crds::MirrorJob;
use futures::future::join_all;
use futures::{Future, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::cache::{self, Cache, Scope};
use super::context::Context;
use crate::mirrorjob::build::labels;
use crate::workqueue::JobKey;

type Watch<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The writing ends of the stores of one scope.
pub(crate) struct Feed {
    namespace: Option<String>,
    jobs: Writer<MirrorJob>,
    pods: Writer<Pod>,
}

/// Makes the stores for these namespaces; for all if there is none.
pub(crate) fn stores(namespaces: &[String]) -> (Cache, Vec<Feed>) {
    let scopes = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let (scopes, feeds) = scopes
        .into_iter()
        .map(|namespace| {
            let (jobs, job_writer) = reflector::store();
            let (pods, pod_writer) = reflector::store();
            let scope = Scope { jobs, pods };
            let feed = Feed {
                namespace,
                jobs: job_writer,
                pods: pod_writer,
            };
            (scope, feed)
        })
        .unzip();
    (Cache::new(scopes), feeds)
}

/// Keeps the stores up to date and the queue fed, for as long as it is polled.
pub(crate) async fn start(context: &Arc<Context>) {
    let mut watches: Vec<Watch<'_>> = Vec::new();
    for feed in context.take_feeds() {
        let namespace = feed.namespace.as_deref();
        let of_job = {
            let context = Arc::clone(context);
            move |job: &MirrorJob| {
                let key = cache::key(job);
                context.remember(&key, job.metadata.uid.as_deref().unwrap_or_default());
                Some(key)
            }
        };
        let jobs = api::<MirrorJob>(&context.client, namespace);
        let config = watcher::Config::default();
        watches.push(Box::pin(follow(context, jobs, config, feed.jobs, of_job)));
        let pods = api::<Pod>(&context.client, namespace);
        let config = watcher::Config::default().labels(labels::JOB_UID);
        watches.push(Box::pin(follow(
            context,
            pods,
            config,
            feed.pods,
            cache::owner,
        )));
    }
    join_all(watches).await;
}

/// Waits until every store has what there is.
pub(crate) async fn synced(context: &Context) {
    for scope in context.cache.scopes() {
        ready(&scope.jobs).await;
        ready(&scope.pods).await;
    }
}

async fn ready<K>(store: &Store<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    // An error means that the watch has ended, which ends the whole.
    let _ = store.wait_until_ready().await;
}

async fn follow<K>(
    context: &Arc<Context>,
    api: Api<K>,
    config: watcher::Config,
    writer: Writer<K>,
    key: impl Fn(&K) -> Option<JobKey>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Hash + Eq,
{
    let stream = watch::watcher(api, config)
        .default_backoff()
        .modify(|object| {
            object.managed_fields_mut().clear();
        })
        .reflect(writer);
    tokio::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                if let Some(key) = key(&object) {
                    context.queue.add(key);
                }
            }
            // What was deleted while nobody watched is told by nobody.
            Ok(Event::InitDone) => context.look_at_all(),
            Ok(Event::Init) => {}
            Err(error) => {
                warn!(%error, kind = %K::kind(&()), "the watch was lost; it begins again")
            }
        }
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

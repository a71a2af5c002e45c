//! What is known about the namespace of a failed test: enough to find the cause without the cluster.

use std::fmt::Write;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::namespace::{LABEL, Namespace};
use super::wait::shown;

/// Lines of each log.
const LINES: i64 = 80;

/// Adds a line to `times` in the folder of the cluster: where the minutes of a run go.
pub(super) fn took(namespace: &Namespace, time: Duration) {
    let file = namespace.cluster.env.folder().join("times");
    let line = format!("{:6.1} s  {}\n", time.as_secs_f64(), namespace.name);
    let written = OpenOptions::new().create(true).append(true).open(file);
    // A run without this file is as good.
    let _ = written.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// Writes the report of a failed test to the folder of the cluster, and returns it.
pub(super) async fn save(namespace: &Namespace, failure: &str) -> String {
    let mut text = format!(
        "{failure}\n\n===== the namespace {} =====\n",
        namespace.name
    );
    gather(namespace, &mut text).await;
    let folder = namespace.cluster.env.folder().join("failures");
    let file = folder.join(format!("{}.txt", namespace.name));
    let saved = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &text));
    match saved {
        Ok(()) => text + &format!("\nThis report: {}\n", file.display()),
        Err(error) => text + &format!("\n{}: {error}\n", file.display()),
    }
}

async fn gather(namespace: &Namespace, text: &mut String) {
    let cluster = &namespace.cluster;
    section(text, "nodes", nodes(cluster.all()).await);
    section(text, "pods", pods(namespace).await);
    section(text, "MirrorJobs", objects(&namespace.jobs()).await);
    section(text, "events", events(namespace.api()).await);
    let claims = namespace.api::<PersistentVolumeClaim>();
    section(text, "claims", objects(&claims).await);
    let ours = ListParams::default().labels(&format!("{LABEL}={}", namespace.name));
    let volumes = cluster.all::<PersistentVolume>().list(&ours).await;
    let volumes = volumes.map(|list| list.items.iter().map(shown).collect());
    section(text, "volumes", volumes);
    section(text, "logs of the movers", logs(namespace).await);
    let log = cluster.operator().log(LINES).await;
    let log = log.unwrap_or_else(|error| error.to_string());
    let _ = writeln!(text, "\n===== log of the operator =====\n{log}");
}

fn section(text: &mut String, title: &str, content: kube::Result<Vec<String>>) {
    let _ = writeln!(text, "\n===== {title} =====");
    let lines = content.unwrap_or_else(|error| vec![error.to_string()]);
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

async fn nodes(api: Api<Node>) -> kube::Result<Vec<String>> {
    let nodes = api.list(&ListParams::default()).await?;
    let line = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
        let conditions = conditions.into_iter().flatten();
        let conditions: Vec<String> = conditions
            .map(|condition| format!("{}={}", condition.type_, condition.status))
            .collect();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
        let taints: Vec<&str> = taints
            .into_iter()
            .flatten()
            .map(|t| t.key.as_str())
            .collect();
        format!(
            "{} {} taints {taints:?}",
            node.name_any(),
            conditions.join(" ")
        )
    };
    Ok(nodes.items.iter().map(line).collect())
}

async fn pods(namespace: &Namespace) -> kube::Result<Vec<String>> {
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await?;
    Ok(pods.items.iter().map(pod).collect())
}

fn pod(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.as_deref());
    let mut text = format!("{} on {}", pod.name_any(), node.unwrap_or("no node"));
    if let Some(deleted) = &pod.metadata.deletion_timestamp {
        let _ = write!(text, ", deleted {}, {:?}", deleted.0, pod.finalizers());
    }
    let Some(status) = &pod.status else {
        return text;
    };
    let value = |text: &Option<String>| text.clone().unwrap_or_default();
    let _ = write!(
        text,
        ": {} {} {} {}",
        value(&status.phase),
        value(&status.pod_ip),
        value(&status.reason),
        value(&status.message)
    );
    for condition in status.conditions.iter().flatten() {
        let _ = write!(
            text,
            "\n    {}={} {} {}",
            condition.type_,
            condition.status,
            value(&condition.reason),
            value(&condition.message)
        );
    }
    for container in status.container_statuses.iter().flatten() {
        let state = serde_json::to_string(&container.state).unwrap_or_default();
        let _ = write!(text, "\n    container {}: {state}", container.name);
    }
    text
}

async fn objects<K>(api: &Api<K>) -> kube::Result<Vec<String>>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let found = api.list(&ListParams::default()).await?;
    Ok(found.items.iter().map(shown).collect())
}

async fn events(api: Api<Event>) -> kube::Result<Vec<String>> {
    let mut events = api.list(&ListParams::default()).await?.items;
    events.sort_by_key(when);
    let line = |event: &Event| {
        format!(
            "{} {} {} {}/{}: {}",
            when(event).map_or_else(String::new, |time| time.to_string()),
            event.type_.as_deref().unwrap_or_default(),
            event.reason.as_deref().unwrap_or_default(),
            event.involved_object.kind.as_deref().unwrap_or_default(),
            event.involved_object.name.as_deref().unwrap_or_default(),
            event.message.as_deref().unwrap_or_default(),
        )
    };
    Ok(events.iter().map(line).collect())
}

/// Returns the last time an event was seen; the two ways to write events fill different fields.
fn when(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let series = event.series.as_ref();
    let series = series.and_then(|series| series.last_observed_time.as_ref());
    let times = [
        series.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ];
    times.into_iter().flatten().next()
}

async fn logs(namespace: &Namespace) -> kube::Result<Vec<String>> {
    let pods = namespace.api::<Pod>();
    let movers = ListParams::default().labels("blit.dev/job-uid");
    let last = LogParams {
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    let mut found = Vec::new();
    for pod in pods.list(&movers).await?.items {
        let log = pods.logs(&pod.name_any(), &last).await;
        let log = log.unwrap_or_else(|error| error.to_string());
        found.push(format!("--- {}\n{log}", pod.name_any()));
    }
    Ok(found)
}

//! Waiting for the cluster to become as expected, by watching it.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{Error, Result};

/// Patience with the cluster: far above what a step takes on a busy machine of two cores.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often [`eventually`] looks again.
const INTERVAL: Duration = Duration::from_millis(200);

/// Longest description of a state, in characters.
const SHOWN: usize = 6000;

/// Watches an object until the condition holds and returns it, or `None` if the condition holds of its
/// absence. An API server that goes away for a while is waited for.
pub async fn until<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    patience: Duration,
    mut condition: impl FnMut(Option<&K>) -> bool,
) -> Result<Option<K>>
where
    K: Resource + Clone + Debug + Send + serde::de::DeserializeOwned + serde::Serialize + 'static,
{
    let deadline = Instant::now() + patience;
    let mut stream = pin!(watch_object(api.clone(), name).default_backoff());
    let mut last = "nothing".to_owned();
    loop {
        match timeout_at(deadline, stream.next()).await {
            Ok(Some(Ok(object))) => {
                if condition(object.as_ref()) {
                    return Ok(object);
                }
                last = object
                    .as_ref()
                    .map_or_else(|| "no such object".into(), shown);
            }
            Ok(Some(Err(error))) => last = format!("{last}\nthen the watch failed: {error}"),
            // A watch does not end by itself.
            Ok(None) | Err(_) => {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    seconds: patience.as_secs(),
                    last,
                });
            }
        }
    }
}

/// Looks again and again until there is an answer, for what cannot be watched: files, processes, metrics.
/// The look says in `Err` what it saw instead.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= deadline => {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    seconds: patience.as_secs(),
                    last,
                });
            }
            Err(_) => sleep(INTERVAL).await,
        }
    }
}

/// Returns an object as YAML, without what only the API server reads.
pub(super) fn shown<K: serde::Serialize>(object: &K) -> String {
    let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let text = serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string());
    text.chars().take(SHOWN).collect()
}

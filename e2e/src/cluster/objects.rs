//! What a job has in its namespace: events, and objects that must go with it.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::error::Result;
use super::namespace::Namespace;
use super::wait::{PATIENCE, eventually};

impl Namespace {
    /// Returns the events about an object of this name, as `Type Reason: message`.
    pub async fn events(&self, name: &str) -> Result<Vec<String>> {
        let fields = format!("involvedObject.name={name}");
        let about = ListParams::default().fields(&fields);
        let events = self.api::<Event>().list(&about).await?.items;
        let text = |text: Option<String>| text.unwrap_or_default();
        Ok(events
            .into_iter()
            .map(|event| {
                let (kind, reason) = (text(event.type_), text(event.reason));
                format!("{kind} {reason}: {}", text(event.message))
            })
            .collect())
    }

    /// Waits for an event about an object; it begins with this and holds all these words.
    pub async fn event(&self, name: &str, begins: &str, words: &[&str]) -> Result<String> {
        let what = format!("an event `{begins}` about {name} with {words:?}");
        eventually(&what, PATIENCE, async || {
            let events = self.events(name).await.map_err(|e| e.to_string())?;
            let fits = |event: &&String| {
                event.starts_with(begins) && words.iter().all(|word| event.contains(word))
            };
            let found = events.iter().find(fits).cloned();
            found.ok_or_else(|| events.join("\n"))
        })
        .await
    }

    /// Returns what exists for a job of this UID: pods, Secrets and NetworkPolicies.
    pub async fn belongings(&self, uid: &str) -> Result<Vec<String>> {
        let mut found = self.labelled::<Pod>("pod", uid).await?;
        found.extend(self.labelled::<Secret>("secret", uid).await?);
        found.extend(self.labelled::<NetworkPolicy>("networkpolicy", uid).await?);
        Ok(found)
    }

    /// Waits until nothing exists for a job of this UID.
    pub async fn nothing_belongs_to(&self, uid: &str) -> Result<()> {
        eventually(
            "the removal of all that the job made",
            PATIENCE,
            async || match self.belongings(uid).await {
                Ok(found) if found.is_empty() => Ok(()),
                Ok(found) => Err(found.join("\n")),
                Err(error) => Err(error.to_string()),
            },
        )
        .await
    }

    async fn labelled<K>(&self, kind: &str, uid: &str) -> Result<Vec<String>>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let ours = ListParams::default().labels(&format!("blit.dev/job-uid={uid}"));
        let found = self.api::<K>().list(&ours).await?.items;
        let name = |object: &K| format!("{kind}/{}", object.name_any());
        Ok(found.iter().map(name).collect())
    }
}

//! The cluster as the caller sees it.

use blit_crds::MirrorJob;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};

use super::cli::ClusterOptions;
use super::error::PluginError;
use super::proxy::is_direct;

/// Name of the resource with its group, as kubectl writes it.
pub(super) const RESOURCE: &str = "mirrorjobs.blit.dev";

/// Name of one of the resource, as kubectl writes it when it did something to it.
pub(super) const SINGULAR: &str = "mirrorjob.blit.dev";

/// Prefixes that kubectl puts before names; they may stay when a name is copied from its output.
const PREFIXES: [&str; 5] = [
    "mirrorjob.blit.dev/",
    "mirrorjobs.blit.dev/",
    "mirrorjob/",
    "mirrorjobs/",
    "mj/",
];

/// A client and a namespace.
#[derive(Clone)]
pub(super) struct Session {
    /// The client.
    pub(super) client: Client,
    /// The namespace that the caller means.
    pub(super) namespace: String,
}

/// A MirrorJob as it is, and as this version understands it.
pub(super) struct Found {
    /// Everything that the API server has, with fields of newer versions.
    pub(super) object: DynamicObject,
    /// What this version knows of it.
    pub(super) job: MirrorJob,
}

impl Session {
    /// Connects as kubectl would.
    ///
    /// # Errors
    /// Fails when no configuration can be used.
    pub(super) async fn open(options: &ClusterOptions) -> Result<Self, PluginError> {
        let chosen = KubeConfigOptions {
            context: options.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &options.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file)?;
                Config::from_custom_kubeconfig(kubeconfig, &chosen).await?
            }
            None if options.context.is_some() => Config::from_kubeconfig(&chosen).await?,
            None => Config::infer()
                .await
                .map_err(|error| PluginError::NoCluster(error.to_string()))?,
        };
        if is_reached_directly(&config) {
            config.proxy_url = None;
        }
        let namespace = options.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        Ok(Self { client, namespace })
    }

    /// Returns the MirrorJobs of the namespace.
    pub(super) fn jobs(&self) -> Api<MirrorJob> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns the MirrorJobs of the namespace, with fields that this version does not know.
    pub(super) fn objects(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource())
    }

    /// Returns the MirrorJobs of all namespaces, with fields that this version does not know.
    pub(super) fn all_objects(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource())
    }

    /// Reads a job.
    ///
    /// # Errors
    /// Fails when it does not exist, and says what does.
    pub(super) async fn job(&self, name: &str) -> Result<Found, PluginError> {
        match self.objects().get_opt(name).await? {
            Some(object) => Ok(Found {
                job: understood(&object)?,
                object,
            }),
            None => Err(self.not_found(name).await),
        }
    }

    /// Lists jobs, those of all namespaces or those of one.
    ///
    /// # Errors
    /// Fails when they cannot be listed.
    pub(super) async fn list(&self, everywhere: bool) -> Result<Vec<DynamicObject>, PluginError> {
        let api = if everywhere {
            self.all_objects()
        } else {
            self.objects()
        };
        match api.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(error) if is_missing(&error) => Err(PluginError::NotInstalled),
            Err(error) => Err(error.into()),
        }
    }

    /// Says what exists instead. A kind that is not known and a job that does not exist look the same until the
    /// kind is listed.
    async fn not_found(&self, name: &str) -> PluginError {
        let names = |list: Vec<DynamicObject>| -> Vec<String> {
            let names = list.into_iter().filter_map(|object| object.metadata.name);
            names.collect()
        };
        let others = match self.list(false).await {
            Err(error @ PluginError::NotInstalled) => return error,
            Err(_) => None,
            Ok(list) => Some(names(list)),
        };
        let same_name = ListParams::default().fields(&format!("metadata.name={name}"));
        let elsewhere = self.all_objects().list(&same_name).await;
        let elsewhere = elsewhere.map_or_else(|_| Vec::new(), |list| list.items);
        let elsewhere = elsewhere
            .into_iter()
            .filter_map(|object| object.metadata.namespace);
        PluginError::NotFound {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            others,
            elsewhere: elsewhere.collect(),
        }
    }
}

/// Returns a name without the kind before it.
pub(super) fn bare_name(name: &str) -> &str {
    let known = PREFIXES.iter();
    known
        .filter_map(|prefix| name.strip_prefix(prefix))
        .next()
        .unwrap_or(name)
}

/// Returns what this version understands of an object.
///
/// # Errors
/// Fails when a field has a value that this version does not know.
pub(super) fn understood(object: &DynamicObject) -> Result<MirrorJob, PluginError> {
    let parsed: Result<MirrorJob, _> = object.clone().try_parse();
    parsed.map_err(|error| PluginError::Unreadable {
        name: object.metadata.name.clone().unwrap_or_default(),
        cause: error.to_string(),
    })
}

/// Returns whether the proxy is that of the environment, and the environment wants none for the API server. One of
/// the kubeconfig is always meant.
fn is_reached_directly(config: &Config) -> bool {
    let variable = |name: &str| {
        let values = [name.to_owned(), name.to_lowercase()].into_iter();
        let mut values = values.filter_map(|name| std::env::var(name).ok());
        values.find(|value| !value.is_empty())
    };
    let of_environment = variable("HTTPS_PROXY").and_then(|proxy| proxy.parse().ok());
    if config.proxy_url.is_none() || config.proxy_url != of_environment {
        return false;
    }
    let server = &config.cluster_url;
    let usual = match server.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    let port = server.port_u16().unwrap_or(usual);
    let no_proxy = variable("NO_PROXY").unwrap_or_default();
    server
        .host()
        .is_some_and(|host| is_direct(&no_proxy, host, port))
}

fn resource() -> ApiResource {
    let kind: <MirrorJob as Resource>::DynamicType = ();
    ApiResource::erase::<MirrorJob>(&kind)
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests;

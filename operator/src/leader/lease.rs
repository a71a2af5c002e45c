//! The Lease in the API server: read it, decide, write it back if nobody else did meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client, Error};

use super::decide::{Action, LeaseView, evaluate};
use super::{LEASE_DURATION, RETRY_PERIOD, clock};

/// One candidate at one Lease.
#[derive(Debug)]
pub(super) struct LeaseClient {
    api: Api<Lease>,
    namespace: String,
    name: String,
    me: String,
    /// The Lease as it was last read or written here.
    known: Option<Lease>,
    /// When `known` got its resourceVersion, by the local clock.
    observed: Duration,
}

/// What a step led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// We hold the lease; the request that took or renewed it was sent at `since`.
    Held { since: Duration },
    /// Another holds it; look again after `wait`.
    HeldByAnother { holder: String, wait: Duration },
    /// Somebody wrote in between.
    Conflict,
}

impl LeaseClient {
    pub(super) fn new(client: Client, namespace: &str, name: &str, me: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            me: me.to_owned(),
            known: None,
            observed: Duration::ZERO,
        }
    }

    /// Takes, renews or looks at the lease, whatever is its turn.
    pub(super) async fn step(&mut self) -> Result<Outcome, Error> {
        let renewing = self.known.as_ref().is_some_and(|lease| self.is_mine(lease));
        if !renewing {
            let found = self.api.get_opt(&self.name).await?;
            self.learn(found);
        }
        let since = clock::now();
        let view = self.known.as_ref().map(view);
        match evaluate(view.as_ref(), &self.me, self.observed, since) {
            Action::Wait(wait) => Ok(Outcome::HeldByAnother {
                holder: view.and_then(|view| view.holder).unwrap_or_default(),
                wait,
            }),
            Action::Acquire | Action::Renew => self.write(Some(&self.me.clone()), since).await,
        }
    }

    /// Gives the lease back if it is ours.
    pub(super) async fn release(&mut self) -> Result<(), Error> {
        let found = self.api.get_opt(&self.name).await?;
        self.learn(found);
        // A renewal that was cut off may still arrive in between; after a conflict the lease is known anew.
        while self.known.as_ref().is_some_and(|lease| self.is_mine(lease)) {
            self.write(None, clock::now()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, holder: Option<&str>, since: Duration) -> Result<Outcome, Error> {
        let lease = self.next(holder, Timestamp::now());
        let params = PostParams::default();
        let written = match &self.known {
            // The resourceVersion in the metadata makes the server refuse it if somebody wrote since.
            Some(_) => self.api.replace(&self.name, &params, &lease).await,
            None => self.api.create(&params, &lease).await,
        };
        match written {
            Ok(lease) => {
                self.learn(Some(lease));
                Ok(Outcome::Held { since })
            }
            // 409: changed or made by another; 404: deleted meanwhile.
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {
                let found = self.api.get_opt(&self.name).await?;
                self.learn(found);
                Ok(Outcome::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the Lease to write. Times in it are for people and for other programs.
    fn next(&self, holder: Option<&str>, now: Timestamp) -> Lease {
        let mut lease = self.known.clone().unwrap_or_default();
        lease.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            managed_fields: None,
            ..lease.metadata
        };
        let before = lease.spec.unwrap_or_default();
        let same = before.holder_identity.as_deref() == holder;
        let transitions = before.lease_transitions.unwrap_or(0);
        let takes_over = !same && holder.is_some() && self.known.is_some();
        let acquire_time = if same {
            before.acquire_time
        } else {
            holder.map(|_| MicroTime(now))
        };
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.unwrap_or_default().to_owned()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time,
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions.saturating_add(i32::from(takes_over))),
            ..LeaseSpec::default()
        });
        lease
    }

    /// Remembers a Lease, and when it changed as far as can be seen from here.
    fn learn(&mut self, lease: Option<Lease>) {
        let version = |lease: &Option<Lease>| {
            let lease = lease.as_ref()?;
            lease.metadata.resource_version.clone()
        };
        if version(&lease) != version(&self.known) {
            self.observed = clock::now();
        }
        self.known = lease;
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        view(lease).holder.as_deref() == Some(&self.me)
    }
}

fn view(lease: &Lease) -> LeaseView {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds;
    LeaseView {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
            .map(|duration| duration.max(RETRY_PERIOD)),
    }
}

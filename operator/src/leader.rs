//! One leader among the replicas, by a Lease.
//!
//! Every write to the Lease carries the resourceVersion that was read, so of two candidates one gets a
//! conflict. Whether the lease of another has run out is judged by the local clock: from the moment at
//! which this process saw the Lease change last, never by times that somebody else wrote. A leader that
//! could not renew for [`RENEW_DEADLINE`] is none any more; candidates take over [`LEASE_DURATION`] after the
//! last change, so the two never overlap as long as a write that [`Leadership::still_leader`] allowed is
//! over within the difference.
//!
//! Invariants: a renewal counts from the moment before its request was sent. Time is CLOCK_BOOTTIME, which
//! goes on while the process or the machine is stopped. Leadership that was lost does not come back in
//! this process. Non-goals: ending the process, which is up to the caller.

mod clock;
mod decide;
mod lease;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub use decide::{Action, LeaseView, evaluate};
use lease::{LeaseClient, Outcome};

/// How long a lease is valid after its last change.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long a leader may go on without a renewal.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// How often a lease is renewed, or looked at by candidates.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// How long one request to the API server may take: half the deadline, so that a second one has time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether this replica leads. Dropping it stops the renewal without giving the lease back.
#[derive(Debug)]
pub struct Leadership {
    state: watch::Receiver<State>,
    renewed: Arc<Renewed>,
    elector: Option<Running>,
}

#[derive(Debug)]
struct Running {
    client: Arc<Mutex<LeaseClient>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Candidate,
    Leading,
    Lost,
}

/// The time of the last renewal, in milliseconds of the clock; 0: never, or given back.
#[derive(Debug, Default)]
struct Renewed(AtomicU64);

impl Leadership {
    /// Begins to compete for the Lease `name` of `namespace` as `me`, which must be another word for every replica.
    pub fn start(client: Client, namespace: &str, name: &str, me: &str) -> Self {
        let client = Arc::new(Mutex::new(LeaseClient::new(client, namespace, name, me)));
        let (sender, state) = watch::channel(State::Candidate);
        let renewed = Arc::new(Renewed::default());
        let task = tokio::spawn(compete(Arc::clone(&client), Arc::clone(&renewed), sender));
        Self {
            state,
            renewed,
            elector: Some(Running { client, task }),
        }
    }

    /// Leads from the start and for good: for a single replica without a Lease.
    pub fn always() -> Self {
        let (_, state) = watch::channel(State::Leading);
        Self {
            state,
            renewed: Arc::new(Renewed::default()),
            elector: None,
        }
    }

    /// Waits until this replica leads. Never returns once leadership was lost.
    pub async fn acquired(&self) {
        self.wait_for(State::Leading).await;
    }

    /// Waits until this replica has led and does not any more. The process should end then.
    pub async fn lost(&self) {
        self.wait_for(State::Lost).await;
    }

    /// Returns true if the last renewal is recent enough. To be asked right before every write: a process
    /// that was stopped learns here, without a request, that others may have taken over.
    pub fn still_leader(&self) -> bool {
        if self.elector.is_none() {
            return true;
        }
        *self.state.borrow() == State::Leading && self.renewed.is_recent(clock::now())
    }

    /// Gives the lease back, so that another replica takes over at once. To be called when nothing is written
    /// any more.
    pub async fn release(mut self) {
        let Some(Running { client, task }) = self.elector.take() else {
            return;
        };
        let led = *self.state.borrow() == State::Leading;
        self.renewed.clear();
        task.abort();
        if led {
            // The lock waits for the end of a renewal under way.
            let release = async { client.lock().await.release().await };
            match timeout(REQUEST_TIMEOUT, release).await {
                Ok(Ok(())) => info!("gave the lease back"),
                Ok(Err(error)) => warn!("cannot give the lease back: {error}"),
                Err(_) => warn!("cannot give the lease back: no answer"),
            }
        }
    }

    async fn wait_for(&self, wanted: State) {
        let mut state = self.state.clone();
        if state.wait_for(|state| *state == wanted).await.is_err() {
            // The elector is gone, and with it every chance of a change.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        if let Some(running) = &self.elector {
            running.task.abort();
        }
    }
}

impl Renewed {
    fn set(&self, at: Duration) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis.max(1), Ordering::Release);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn is_recent(&self, now: Duration) -> bool {
        !self.left(now).is_zero()
    }

    /// How long the last renewal is still good for.
    fn left(&self, now: Duration) -> Duration {
        match self.0.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            at => {
                let age = now.saturating_sub(Duration::from_millis(at));
                RENEW_DEADLINE.saturating_sub(age)
            }
        }
    }
}

/// Competes until leadership was won and lost.
async fn compete(
    client: Arc<Mutex<LeaseClient>>,
    renewed: Arc<Renewed>,
    state: watch::Sender<State>,
) {
    loop {
        let leading = *state.borrow() == State::Leading;
        let patience = match leading {
            true => REQUEST_TIMEOUT.min(renewed.left(clock::now())),
            false => REQUEST_TIMEOUT,
        };
        // After a stop of the process nothing is left; one look decides whether the lease is still ours.
        let patience = patience.max(RETRY_PERIOD);
        let outcome = timeout(patience, async { client.lock().await.step().await }).await;
        let delay = match outcome {
            Ok(Ok(Outcome::Held { since })) => {
                renewed.set(since);
                if !leading {
                    info!("became the leader");
                    state.send_replace(State::Leading);
                }
                RETRY_PERIOD
            }
            Ok(Ok(Outcome::HeldByAnother { holder, wait })) => {
                if leading {
                    warn!("{holder} has taken the lease");
                    break;
                }
                wait
            }
            // Somebody was faster, or a request of our own came through after all: look again.
            Ok(Ok(Outcome::Conflict)) => Duration::from_millis(100),
            Ok(Err(error)) => {
                warn!("cannot renew or read the lease: {error}");
                RETRY_PERIOD
            }
            Err(_) => {
                warn!("cannot renew or read the lease: no answer within {patience:?}");
                Duration::ZERO
            }
        };
        let leading = *state.borrow() == State::Leading;
        if leading && !renewed.is_recent(clock::now()) {
            warn!("could not renew the lease for {RENEW_DEADLINE:?}");
            break;
        }
        sleep(delay).await;
    }
    renewed.clear();
    state.send_replace(State::Lost);
}

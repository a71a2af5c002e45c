//! `blit-operator run`: the replica of an operator, from its start to its end.
//!
//! Every replica serves its metrics and its readiness. The one that holds the Lease runs the controller; when it cannot
//! renew the Lease, the process ends and begins again as a candidate, because what it knows may be out of date.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::admin::{self, DEFINITION, PERMISSIONS, Readiness, check_until_ready};
use crate::authority::{self, AuthorityError};
use crate::cli::RunOptions;
use crate::controller::{self, Context, Parts};
use crate::events::Publisher;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::settings::{Settings, SettingsError};

/// When a failed renewal of the operator's identity is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(60);

/// A replica cannot go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no way to the API server.
    #[error("cannot find the API server: {0}; run in a cluster, or with KUBECONFIG")]
    Config(#[from] kube::config::InferConfigError),
    /// The client of the API server cannot be made.
    #[error("cannot make a client of the API server: {0}")]
    Client(#[from] kube::Error),
    /// The identity of the operator cannot be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The machine does not give what is needed.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// Another replica leads.
    #[error("lost the Lease; another replica leads or the API server does not answer")]
    LostLease,
}

/// Runs a replica as a process: its log is JSON lines on stderr, which `RUST_LOG` selects.
pub fn main(options: RunOptions) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // One provider for the whole process, before anything speaks TLS.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        error!("a provider of cryptography is installed already");
    }
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::System)
        .and_then(|runtime| runtime.block_on(run(&options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "ends");
            ExitCode::FAILURE
        }
    }
}

/// Runs a replica until it is asked to end.
///
/// # Errors
/// Fails when the configuration is wrong, the API server cannot be used, or leadership is lost.
pub async fn run(options: &RunOptions) -> Result<(), RunError> {
    let settings = Settings::load(&options.config)?;
    let client = Client::try_from(kube::Config::infer().await?)?;
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::new([DEFINITION, PERMISSIONS]));
    let listener = admin::listen(settings.ports.metrics).await?;
    let router = admin::router(Arc::clone(&readiness), Arc::clone(&metrics));
    let served = admin::serve(listener, router, std::future::pending());
    let checked = check_until_ready(&client, &settings, &options.namespace, &readiness);
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let leadership = Arc::new(if settings.leader_election.enabled {
        let lease = &settings.leader_election.lease_name;
        Leadership::start(client.clone(), &options.namespace, lease, &options.pod_name)
    } else {
        Leadership::always()
    });
    info!(
        version = env!("CARGO_PKG_VERSION"),
        pod = options.pod_name,
        "started"
    );
    let publisher = Arc::new(Publisher::start(client.clone(), &options.pod_name));
    let ended = tokio::select! {
        () = asked => {
            info!("asked to end");
            Ok(())
        }
        ended = lead(options, settings.clone(), client.clone(), metrics, Arc::clone(&leadership), Arc::clone(&publisher)) => ended,
        ended = served => ended.map_err(RunError::System),
        () = async { checked.await; std::future::pending().await } => Ok(()),
        () = leadership.lost() => Err(RunError::LostLease),
    };
    if let Some(publisher) = Arc::into_inner(publisher) {
        publisher.flush().await;
    }
    // Whatever ended it: another replica can take over at once.
    if let Some(leadership) = Arc::into_inner(leadership) {
        leadership.release().await;
    }
    ended
}

/// Waits for leadership and leads until the process ends.
async fn lead(
    options: &RunOptions,
    settings: Settings,
    client: Client,
    metrics: Arc<Metrics>,
    leadership: Arc<Leadership>,
    publisher: Arc<Publisher>,
) -> Result<(), RunError> {
    leadership.acquired().await;
    info!("leads");
    metrics.leader(true);
    let identity = authority::load(&client, &options.namespace, SystemTime::now()).await?;
    let renew_at = identity.renew_at;
    let context = Context::new(Parts {
        client: client.clone(),
        settings,
        namespace: options.namespace.clone(),
        leadership,
        identity,
        metrics,
        publisher,
    });
    let _stop = StopOnDrop(Arc::clone(&context));
    tokio::select! {
        () = controller::run(Arc::clone(&context)) => error!("the watches ended"),
        () = renew(&context, &client, &options.namespace, renew_at) => {}
    }
    Ok(())
}

/// Renews the identity of the operator in time, for ever.
async fn renew(context: &Context, client: &Client, namespace: &str, first: SystemTime) {
    let mut at = first;
    loop {
        let left = at.duration_since(SystemTime::now());
        sleep(left.unwrap_or(RENEW_AGAIN)).await;
        match authority::load(client, namespace, SystemTime::now()).await {
            Ok(identity) => {
                at = identity.renew_at;
                context.set_identity(identity);
            }
            Err(error) => warn!(%error, "cannot renew the identity of the operator"),
        }
    }
}

struct StopOnDrop(Arc<Context>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

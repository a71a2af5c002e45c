//! The controller: watches MirrorJobs and their movers, and works on one job at a time until it is as it should be.
//!
//! What is watched becomes keys in a queue; a worker takes a key, looks at the job and its pods as they are now, does the
//! next step ([`crate::mirrorjob::step`]) and writes the status. Every pass is idempotent, so it does not matter why it happens,
//! or whether an earlier one was cut off.
//!
//! Invariants: a key is in the hands of one worker at a time. Nothing is written once leadership may be lost. A job without
//! a change causes no write.

mod attempt;
mod cache;
mod context;
mod error;
mod line;
mod reconcile;
mod start;
mod surroundings;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tracing::{Instrument, debug, info_span, warn};

use context::STALE;
pub use context::{Context, Parts};
pub use error::ReconcileError;

use crate::workqueue::JobKey;

/// How many jobs are worked on at the same time. Most of the time of a pass is waiting for the API server.
const WORKERS: usize = 8;

/// What a pass asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Only when something changes.
    OnChange,
    /// After this time, too.
    After(Duration),
}

/// Watches and works until leadership is lost, the process is asked to end, or a watch cannot be kept.
pub async fn run(context: Arc<Context>) {
    let watches = watch::start(&context);
    let synced = watch::synced(&context);
    tokio::pin!(watches);
    tokio::select! {
        () = &mut watches => return,
        () = synced => {}
    }
    reconcile::adopt(&context);
    let workers = join_all((0..WORKERS).map(|_| work(Arc::clone(&context))));
    tokio::select! {
        () = &mut watches => {}
        _ = workers => {}
    }
}

async fn work(context: Arc<Context>) {
    while let Some(key) = context.queue.next().await {
        let span = info_span!("reconcile", job = %key);
        pass(&context, &key).instrument(span).await;
        context.queue.done(&key);
        context.metrics.workqueue_depth(context.queue.len());
    }
}

async fn pass(context: &Context, key: &JobKey) {
    let begun = Instant::now();
    let outcome = reconcile::reconcile(context, key).await;
    context.metrics.reconciled(begun.elapsed());
    match outcome {
        Ok(again) => {
            context.queue.forget(key);
            if let Again::After(delay) = again {
                context.queue.add_after(key.clone(), delay);
            }
        }
        // What was known is out of date; what is true arrives soon.
        Err(error) if error.is_stale() => {
            let delay = context.queue.retry_soon(key.clone(), STALE);
            debug!(%error, ?delay, "looks again");
        }
        Err(error) => {
            context.metrics.reconcile_failed(error.class());
            let delay = context.queue.retry(key.clone());
            warn!(%error, class = error.class(), ?delay, "tries again");
        }
    }
}

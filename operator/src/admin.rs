//! What the operator answers over HTTP: whether it lives, whether it can work, and its metrics.
//!
//! `/healthz` is 200 while the process answers. `/readyz` is 200 when nothing is missing, else 503 with what
//! is, a line each: a definition that is not installed, a permission that was not given. Restarting would
//! help against neither, so they make a replica not ready, never unhealthy. A replica that does not lead is as
//! ready as the one that does. `/metrics` is for monitoring systems of the cluster.
//!
//! Invariants: answers need no request to the API server. Non-goals: TLS and authentication; nothing here
//! is secret or changes anything.

mod permissions;
mod preflight;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::{CONTENT_TYPE, Metrics};

pub use permissions::{Permission, needed};
pub use preflight::{DEFINITION, PERMISSIONS, check_until_ready};

/// What the operator needs before it can work, and whether it is there.
#[derive(Debug)]
pub struct Readiness {
    facts: Mutex<BTreeMap<&'static str, Result<(), String>>>,
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

impl Readiness {
    /// Begins with all of `names` missing, because they were not checked.
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        let unknown = |name| (name, Err("not checked yet".to_owned()));
        Self {
            facts: Mutex::new(names.into_iter().map(unknown).collect()),
        }
    }

    /// Says that `name` is there, or what is missing; several things a line each.
    pub fn set(&self, name: &'static str, fact: Result<(), String>) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.insert(name, fact);
    }

    /// Returns what is missing, each as `name: what`.
    pub fn missing(&self) -> Vec<String> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = facts.iter().filter_map(|(name, fact)| {
            let text = fact.as_ref().err()?;
            Some(text.lines().map(move |line| format!("{name}: {line}")))
        });
        missing.flatten().collect()
    }
}

/// Returns the answers to all requests.
pub fn router(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(encode))
        .with_state(Shared { readiness, metrics })
}

/// Listens on a port of all addresses, or of the IPv4 ones on a node without IPv6.
///
/// # Errors
/// Fails when the port cannot be had.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
    }
}

/// Answers on `listener` until `stop` is done.
///
/// # Errors
/// Fails when no connection can be accepted any more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let missing = shared.readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let text = missing.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn encode(State(shared): State<Shared>) -> Response {
    match shared.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let text = format!("cannot write the metrics: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

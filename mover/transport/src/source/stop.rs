//! The switch that ends a push early.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a push early, from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<Option<String>>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Stop {
    /// Makes a switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the push to end; the first reason stays.
    pub fn stop(&self, reason: &str) {
        self.0.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Waits until the push must end; returns why.
    pub(super) async fn stopped(&self) -> String {
        let mut state = self.0.subscribe();
        match state.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender is in `self`.
            Err(_) => std::future::pending().await,
        }
    }
}

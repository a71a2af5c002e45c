//! The switch that ends a push, or the opening of a pull, early.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a session early, from any thread. Cheap to clone.
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

    /// Asks the session to end; the first reason stays.
    pub fn stop(&self, reason: &str) {
        self.0.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    /// Waits until the session must end; returns why.
    pub(crate) async fn stopped(&self) -> String {
        let mut state = self.0.subscribe();
        // Nothing of the state is held while it is waited.
        let reason = state.wait_for(Option::is_some).await;
        let reason = reason.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // The sender is in `self`.
            None => std::future::pending().await,
        }
    }
}

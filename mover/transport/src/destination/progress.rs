//! Publishes where the run is: to operators that ask, and to the source.

use std::sync::Arc;
use std::sync::Mutex;

use blit_proto::v2::server_push_response::Message;
use blit_proto::v2::{ProgressUpdate, ServerPushResponse};
use tokio::sync::watch;

use super::link::Outbound;
use crate::sync::lock;

/// Takes the state of the run and passes it on. Cheap to clone.
#[derive(Clone)]
pub struct ProgressPublisher {
    updates: Arc<watch::Sender<ProgressUpdate>>,
    source: Arc<Mutex<Option<Outbound>>>,
}

impl ProgressPublisher {
    pub(crate) fn new() -> Self {
        let waiting = ProgressUpdate {
            phase: "waiting".to_owned(),
            ..ProgressUpdate::default()
        };
        Self {
            updates: Arc::new(watch::Sender::new(waiting)),
            source: Arc::default(),
        }
    }

    /// Publishes a state. Call it about as often as the engine reports, once or twice a second; never
    /// blocks.
    pub fn publish(&self, update: ProgressUpdate) {
        if let Some(source) = &*lock(&self.source) {
            let response = ServerPushResponse {
                message: Some(Message::Progress(ProgressUpdate {
                    failed_entries: Vec::new(),
                    ..update.clone()
                })),
            };
            // A source that has not taken the last one does not need this one.
            let _ = source.try_send(Ok(response));
        }
        self.updates.send_replace(update);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<ProgressUpdate> {
        self.updates.subscribe()
    }

    /// Passes updates on to a source from now on, or no longer.
    pub(crate) fn attach(&self, source: Option<Outbound>) {
        *lock(&self.source) = source;
    }

    /// Publishes the end of the run to those who ask.
    pub(crate) fn finish(&self, edit: impl FnOnce(&mut ProgressUpdate)) {
        self.attach(None);
        self.updates.send_modify(edit);
    }
}

//! Sends notes as events, from a task of its own.

use std::time::Duration;

use blit_crds::MirrorJob;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::Note;

/// Name under which the operator reports.
const CONTROLLER: &str = "blit-operator";

/// How many notes may wait; further ones are dropped.
const WAITING: usize = 1024;

/// How often one note is tried.
const TRIES: u32 = 3;

/// Pause between two tries of one note.
const PAUSE: Duration = Duration::from_secs(1);

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last notes may take at the end of the process.
const FLUSH: Duration = Duration::from_secs(5);

/// Sends events without ever letting the caller wait.
#[derive(Debug)]
pub struct Publisher {
    sender: mpsc::Sender<(ObjectReference, Note)>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Starts to send, as the replica `instance` (the name of its pod).
    pub fn start(client: Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: CONTROLLER.to_owned(),
            instance: Some(instance.to_owned()),
        };
        let recorder = Recorder::new(client, reporter);
        let (sender, receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(send_all(recorder, receiver));
        Self { sender, task }
    }

    /// Sends notes about a job, sooner or later; drops them while too many wait.
    pub fn publish(&self, job: &MirrorJob, notes: Vec<Note>) {
        for note in notes {
            let reason = note.reason;
            if self.sender.try_send((job.object_ref(&()), note)).is_err() {
                debug!("drops the event {reason}: too many wait to be sent");
            }
        }
    }

    /// Sends what waits, for some seconds at most, and ends.
    pub async fn flush(self) {
        let Self { sender, task } = self;
        drop(sender);
        let end = task.abort_handle();
        if timeout(FLUSH, task).await.is_err() {
            end.abort();
            debug!("drops the last events: they took too long");
        }
    }
}

async fn send_all(recorder: Recorder, mut notes: mpsc::Receiver<(ObjectReference, Note)>) {
    while let Some((object, note)) = notes.recv().await {
        let event = event(&note);
        for attempt in 1..=TRIES {
            let error = match timeout(PATIENCE, recorder.publish(&event, &object)).await {
                Ok(Ok(())) => break,
                // The namespace goes away, or we may not: it will not be better in a second.
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 403 | 404) => {
                    debug!("drops the event {}: {status}", note.reason);
                    break;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {PATIENCE:?}"),
            };
            if attempt == TRIES {
                warn!("drops the event {}: {error}", note.reason);
            } else {
                sleep(PAUSE).await;
            }
        }
    }
}

fn event(note: &Note) -> Event {
    Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.to_owned(),
        note: Some(note.message.clone()),
        action: action(note),
        secondary: None,
    }
}

/// The recorder counts events up whose action is the same, and keeps the message of the first. Another
/// message is another event, so the action has a mark of it.
fn action(note: &Note) -> String {
    let mark = blake3::hash(note.message.as_bytes()).to_hex();
    format!("{}-{}", note.action, &mark[..8])
}

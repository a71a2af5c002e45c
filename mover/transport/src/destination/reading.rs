//! What comes from the source, whoever dialled: messages of the control plane, and frames of the data plane.

use std::sync::Arc;
use std::time::Duration;

use blit_engine::run::SourceError;
use blit_proto::control::{printable, reason_of};
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::source_failed::Reason;
use blit_proto::v2::{ClientPushRequest, SourceFailed};
use tokio::sync::oneshot;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::link::Link;
use crate::data::FrameStream;
use crate::data::receiver::Receiver;
use crate::planes::PlaneKind;
use crate::wire::Violation;

/// How long a source may take to end the session after it was told why it is over. A call that is dropped before
/// takes the reason with it.
const PARTING: Duration = Duration::from_secs(2);

/// Starts the thread of one data stream.
pub(super) fn receive(
    link: &Arc<Link>,
    stream: u32,
    plane: PlaneKind,
    frames: Box<dyn FrameStream>,
) {
    let Some(reached) = link.streams.add(stream, plane, frames.closer()) else {
        return;
    };
    tracing::debug!(stream, %plane, "a data stream is open");
    let receiver = Receiver {
        stream: frames,
        window: Arc::clone(&link.window),
        arrivals: Arc::clone(&link.arrivals),
        received: Arc::clone(&link.received),
        proof: link.proof.clone(),
        reached,
    };
    let session = Arc::clone(link);
    let work = move || session.stream_over(stream, receiver.run());
    let name = format!("blit-receive-{stream}");
    if let Err(error) = std::thread::Builder::new().name(name).spawn(work) {
        link.fail(SourceError::Other(format!(
            "cannot start a thread: {error}"
        )));
    }
}

/// Reads what the source sends until it closes.
pub(super) async fn read(
    link: Arc<Link>,
    mut requests: impl Stream<Item = Result<ClientPushRequest, Status>> + Unpin,
    closed: oneshot::Sender<()>,
) {
    let mut ended = false;
    let error = loop {
        let message = match requests.next().await {
            Some(Ok(ClientPushRequest {
                message: Some(message),
            })) => message,
            // A kind of message that this version does not know.
            Some(Ok(ClientPushRequest { message: None })) => continue,
            None => {
                ended = true;
                break SourceError::Lost("the source closed the session".to_owned());
            }
            Some(Err(status)) => {
                ended = true;
                break SourceError::Lost(printable(&reason_of(&status)));
            }
        };
        let taken = match message {
            Request::Header(_) => Err(Violation::new("a session has two headers")),
            Request::Part(part) => link.part(part).await,
            Request::ManifestComplete(end) => link.complete(&end),
            Request::Relisted(names) => link.relisted(names),
            Request::Failed(failed) => break reason(failed),
        };
        if let Err(violation) = taken {
            link.refuse(&violation);
            break SourceError::Lost(violation.to_string());
        }
    };
    link.fail(error);
    if !ended {
        let end = async { while let Some(Ok(_)) = requests.next().await {} };
        // One that goes on talking is not waited for.
        let _ = tokio::time::timeout(PARTING, end).await;
    }
    // Nobody waits for it unless the run has ended.
    let _ = closed.send(());
}

fn reason(failed: SourceFailed) -> SourceError {
    let text: String = failed
        .message
        .chars()
        .filter(|c| !c.is_control())
        .take(4096)
        .collect();
    match failed.reason() {
        Reason::Root => SourceError::Root(text),
        Reason::Interrupted => SourceError::Lost(format!("it was interrupted ({text})")),
        Reason::Stalled => SourceError::Stalled(text),
        Reason::Data => SourceError::Lost(text),
        Reason::Unspecified => SourceError::Other(text),
    }
}

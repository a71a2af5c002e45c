//! Opens streams inside gRPC to the side that listens, each on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use blit_proto::control::{self, ControlError};
use blit_proto::v2::{DataBytes, DataToken};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::super::{DataPlane, FrameSink, FrameStream};
use super::sink::GrpcSink;
use super::stream::GrpcFrames;
use super::{Closer, WAITING, until_closed};
use crate::TransportError;
use crate::auth::first_frame::ANSWER_BYTES;
use crate::auth::token::Ticket;
use crate::reach::Target;

/// How long the listener may take to answer the first frame.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Streams inside gRPC to one side that listens.
pub(crate) struct GrpcPlane {
    /// Whom control reached, and who this side is.
    pub(crate) target: Target,
    /// Where the connections live.
    pub(crate) runtime: Handle,
}

impl DataPlane for GrpcPlane {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn open(&self, token: &DataToken) -> Result<Box<dyn FrameSink>, TransportError> {
        let Opened {
            messages,
            mut incoming,
            closer,
        } = self.dial(token)?;
        let ending = closer.clone();
        // Whoever sends learns from this that the other end has gone: nothing more comes from there.
        self.runtime.spawn(async move {
            while let Some(Ok(_)) = incoming.next().await {}
            super::Close::close(&ending);
        });
        Ok(Box::new(GrpcSink::new(messages, closer)))
    }

    fn open_receiving(&self, token: &DataToken) -> Result<Box<dyn FrameStream>, TransportError> {
        let Opened {
            messages,
            incoming,
            closer,
        } = self.dial(token)?;
        let holding = closer.clone();
        // The call lasts as long as this end may still say something.
        self.runtime.spawn(async move {
            holding.closed().await;
            drop(messages);
        });
        let frames = GrpcFrames::new(incoming, prost::bytes::Bytes::new(), closer, &self.runtime);
        Ok(Box::new(frames))
    }
}

/// A call under way.
struct Opened {
    messages: mpsc::Sender<DataBytes>,
    incoming: tonic::Streaming<DataBytes>,
    closer: Closer,
}

impl GrpcPlane {
    /// Opens the call and waits for it, outside the runtime: that may end before.
    fn dial(&self, token: &DataToken) -> Result<Opened, TransportError> {
        let (opened, opening) = std::sync::mpsc::channel();
        let (target, ticket) = (self.target.clone(), Ticket::new(token)?);
        self.runtime.spawn(async move {
            // Nobody waits for it only if the thread is gone.
            let _ = opened.send(call(&target, ticket).await);
        });
        let ended = |_| TransportError::Planes("the session is over".to_owned());
        opening.recv().map_err(ended)?
    }
}

/// Opens the call, and has both ends prove that they hold the token.
async fn call(target: &Target, ticket: Ticket) -> Result<Opened, TransportError> {
    let Target { address, access } = target;
    let connection = control::connect_as(address, access).await?;
    let (messages, outgoing) = mpsc::channel(WAITING);
    let closer = Closer::default();
    let first = DataBytes {
        bytes: ticket.frame.to_vec().into(),
    };
    // The channel is empty, so this does not wait.
    let _ = messages.send(first).await;
    let outgoing = until_closed(outgoing, closer.clone());
    let mut client = connection.client();
    let answering = async {
        let mut incoming = client.data(outgoing).await?.into_inner();
        let answer = incoming.message().await?;
        Ok::<_, tonic::Status>((incoming, answer))
    };
    let refused = |reason: &str| ControlError::Refused {
        address: address.clone(),
        reason: reason.to_owned(),
    };
    let (incoming, answer) = match timeout(ANSWER_TIMEOUT, answering).await {
        Ok(answered) => answered.map_err(|status| connection.explain(&status))?,
        Err(_) => return Err(refused("no answer to a data stream").into()),
    };
    let answer = answer.map(|answer| answer.bytes).unwrap_or_default();
    let answer: Result<[u8; ANSWER_BYTES], _> = answer[..].try_into();
    match answer {
        Ok(answer) if ticket.accepts(&answer) => Ok(Opened {
            messages,
            incoming,
            closer,
        }),
        _ => Err(refused("a data stream did not prove that it belongs to the session").into()),
    }
}

/// The plane as something that is shared.
impl GrpcPlane {
    pub(crate) fn shared(target: Target, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { target, runtime })
    }
}

//! Takes streams inside gRPC and authenticates them by the first frame, as the listener does with sockets.

use std::pin::Pin;
use std::time::Duration;

use blit_proto::v2::DataBytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use super::sink::GrpcSink;
use super::stream::GrpcFrames;
use super::{Closer, WAITING, until_closed};
use crate::auth::first_frame::FRAME_BYTES;
use crate::data::newcomer::Newcomer;
use crate::data::tcp::Desks;
use crate::data::{Close, FrameSink};

/// How long the first frame may take.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// What goes to the dialler.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<DataBytes, Status>> + Send>>;

/// A call that was let in, before it is known in which direction content goes.
pub(crate) struct GrpcCall {
    incoming: Streaming<DataBytes>,
    rest: prost::bytes::Bytes,
    answers: mpsc::Sender<Result<DataBytes, Status>>,
    closer: Closer,
    runtime: Handle,
}

/// Admits a stream, and hands it to the session whose token it holds.
pub(crate) async fn admit(
    desks: &Desks,
    mut incoming: Streaming<DataBytes>,
) -> Result<Answers, Status> {
    let refused = || Status::unauthenticated("the data stream was refused");
    let (first, rest) = match timeout(FIRST_FRAME, first_frame(&mut incoming)).await {
        Ok(Ok(first)) => first,
        Ok(Err(status)) => return Err(status),
        Err(_) => return Err(Status::deadline_exceeded("no first frame came")),
    };
    let (admitted, on_stream) = match desks.redeem(&first) {
        Ok(admitted) => admitted,
        Err(reason) => {
            // The dialler learns nothing.
            tracing::warn!(%reason, "a data stream inside gRPC was refused");
            return Err(refused());
        }
    };
    let closer = Closer::default();
    let (answers, outgoing) = mpsc::channel(WAITING);
    let answer = DataBytes {
        bytes: admitted.answer.to_vec().into(),
    };
    // The channel is empty, so this does not wait.
    let _ = answers.send(Ok(answer)).await;
    let outgoing = until_closed(outgoing, closer.clone());
    let call = GrpcCall {
        incoming,
        rest,
        answers,
        closer,
        runtime: Handle::current(),
    };
    on_stream(admitted.stream, Newcomer::Grpc(Box::new(call)));
    Ok(Box::pin(outgoing))
}

impl GrpcCall {
    /// Receives from the dialler.
    pub(crate) fn into_frames(self) -> GrpcFrames {
        let Self {
            incoming,
            rest,
            answers,
            closer,
            runtime,
        } = self;
        let holding = closer.clone();
        // The call lasts until the stream is over at this end, or the dialler has gone.
        runtime.spawn(async move {
            tokio::select! {
                () = holding.closed() => {}
                () = answers.closed() => {}
            }
        });
        GrpcFrames::new(incoming, rest, closer, &runtime)
    }

    /// Sends to the dialler.
    pub(crate) fn into_sink(self) -> Box<dyn FrameSink> {
        let Self {
            mut incoming,
            answers,
            closer,
            runtime,
            ..
        } = self;
        let ending = closer.clone();
        // It says nothing more; where it goes, this end learns it from here.
        runtime.spawn(async move {
            while let Some(Ok(_)) = incoming.next().await {}
            Close::close(&ending);
        });
        Box::new(GrpcSink::answering(answers, closer))
    }
}

async fn first_frame(
    incoming: &mut Streaming<DataBytes>,
) -> Result<([u8; FRAME_BYTES], prost::bytes::Bytes), Status> {
    let mut first = [0; FRAME_BYTES];
    let mut filled = 0;
    loop {
        let message = incoming.message().await?;
        let mut bytes = message
            .ok_or_else(|| Status::unauthenticated("the data stream was refused"))?
            .bytes;
        let take = bytes.len().min(FRAME_BYTES - filled);
        first[filled..filled + take].copy_from_slice(&bytes.split_to(take));
        filled += take;
        if filled == FRAME_BYTES {
            return Ok((first, bytes));
        }
    }
}

//! A push from the side of the source: it dials, opens the data streams, and serves.

use std::sync::Arc;
use std::time::Duration;

use blit_proto::control::{Connection, ControlError};
use blit_proto::v2::client_push_request::Message as Request;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{
    ClientPushRequest, DataTransferNegotiation, PushHeader, PushSummary, ServerPushResponse,
};
use blit_proto::version;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::pulse::Tell;
use super::serving::{Doors, Offer, PARTING, Serving, SinkDialler, lost};
use super::{OnEvents, OnTried, PushOutcome};
use crate::data::grpc::GrpcPlane;
use crate::dialler::{self, Planes};
use crate::error::TransportError;
use crate::planes::PlanePolicy;
use crate::reach::{self, ANSWER_TIMEOUT, Target, reach};
use crate::wire::Violation;
use crate::wire::mirror::said;

/// Messages of the listing that wait to be sent, at most: of 256 KiB each.
pub(super) const OUTBOUND: usize = 4;

/// What is pushed, and to whom.
pub(super) struct Plan {
    pub(super) target: Target,
    /// How long it is tried to reach the destination; not at all: once.
    pub(super) patience: Duration,
    pub(super) offer: Offer,
    /// What the header has besides what the offer says of the source.
    pub(super) header: PushHeader,
    pub(super) on_events: Option<Arc<OnEvents>>,
    /// Which data planes may be used.
    pub(super) planes: PlanePolicy,
    /// Told of a data plane that could not be used.
    pub(super) on_tried: Arc<OnTried>,
}

/// Runs one push from the first dial to the summary.
pub(super) async fn run(plan: &Plan) -> Result<PushOutcome, TransportError> {
    let (offer, asked) = (plan.offer.clone(), plan.header.clone());
    let connection = tokio::select! {
        connection = reach(&plan.target, plan.patience) => connection?,
        reason = offer.stop.stopped() => return Err(TransportError::Interrupted(reason)),
    };
    let (outbound, requests) = mpsc::channel(OUTBOUND);
    let header = PushHeader {
        job_uid: asked.job_uid,
        attempt: asked.attempt,
        ask: asked.ask,
        data_plane: plan.planes.first().as_str().to_owned(),
        ..offer.header()?
    };
    // The channel is empty, so this does not wait.
    let _ = outbound.send(said(Request::Header(header))).await;
    let (peer, explaining) = (offer.peer.clone(), connection.clone());
    let explain = Box::new(move |status: &Status| broken(&explaining, &peer, status));
    let mut serving = Serving::new(offer, outbound, explain);
    serving.on_events.clone_from(&plan.on_events);
    let mut push = Push {
        plan,
        connection,
        serving,
    };
    // Scanning begins while the destination answers.
    push.serving.start_scan()?;
    let mut responses = None;
    let result = push.converse(requests, &mut responses).await;
    if let (Err(error), Some(responses)) = (&result, &mut responses) {
        push.serving.part(error, responses).await;
    }
    push.serving.end(result)
}

struct Push<'a> {
    plan: &'a Plan,
    connection: Connection,
    serving: Serving,
}

impl Push<'_> {
    /// Talks to the destination until it tells the result.
    async fn converse(
        &mut self,
        requests: mpsc::Receiver<ClientPushRequest>,
        responses: &mut Option<Streaming<ServerPushResponse>>,
    ) -> Result<PushSummary, TransportError> {
        let mut client = self.connection.client();
        let answer = timeout(ANSWER_TIMEOUT, client.push(ReceiverStream::new(requests)));
        tokio::pin!(answer);
        let stop = self.plan.offer.stop.clone();
        let answer = tokio::select! {
            answer = &mut answer => answer,
            reason = stop.stopped() => {
                // The destination may have opened the session, and then wants to know as well.
                if let Ok(Ok(Ok(response))) = timeout(PARTING, answer).await {
                    *responses = Some(response.into_inner());
                }
                return Err(TransportError::Interrupted(reason));
            }
        };
        let answer = answer.map_err(|_| self.serving.lost("no answer to the header"))?;
        let stream = answer
            .map_err(|status| self.connection.explain(&status))?
            .into_inner();
        let stream = responses.insert(stream);
        let negotiation = self.negotiation(stream).await?;
        let session = negotiation.session.clone();
        let mut doors = Doors::Dialling(Box::new(self.open(negotiation)?));
        let client = Box::new(self.connection.client());
        let tell = Tell::Pinging { client, session };
        let mut summary = self.serving.converse(stream, &mut doors, tell).await?;
        if let Doors::Dialling(dialler) = &doors {
            let unsaid = dialler.unsaid(&summary.transport);
            summary.tried.extend(unsaid.map(|tried| tried.to_wire()));
        }
        Ok(summary)
    }

    /// Waits for the first message of the destination.
    async fn negotiation(
        &mut self,
        stream: &mut Streaming<ServerPushResponse>,
    ) -> Result<DataTransferNegotiation, TransportError> {
        let limit = self.plan.offer.progress_deadline.unwrap_or(ANSWER_TIMEOUT);
        let message = tokio::select! {
            message = timeout(limit.min(ANSWER_TIMEOUT), stream.message()) => message,
            error = self.serving.failure() => return Err(error),
            reason = self.plan.offer.stop.stopped() => return Err(TransportError::Interrupted(reason)),
        };
        let message = match message {
            Ok(Ok(Some(response))) => response.message,
            Ok(Ok(None)) => return Err(self.serving.lost("the destination closed the session")),
            Ok(Err(status)) => {
                return Err(broken(&self.connection, &self.plan.target.address, &status));
            }
            Err(_) if limit < ANSWER_TIMEOUT => {
                return Err(TransportError::Stalled {
                    deadline: limit,
                    waited: "the answer to its header".to_owned(),
                });
            }
            Err(_) => return Err(self.serving.lost("no answer to the header")),
        };
        match message {
            Some(Response::Negotiation(negotiation)) => Ok(negotiation),
            _ => Err(Violation::new("the destination does not negotiate first").into()),
        }
    }

    /// Takes the first negotiation; returns who opens the data streams.
    fn open(&mut self, first: DataTransferNegotiation) -> Result<SinkDialler, TransportError> {
        let longest_wait = self.plan.offer.longest_wait();
        let encrypts = self.plan.planes.encrypt;
        let tls = encrypts.then(|| self.plan.target.access.tls());
        let remote = self.connection.remote();
        let (address, tcp) = reach::plane(&first, remote, longest_wait, tls.transpose()?)?;
        let theirs = first.hello.unwrap_or_default();
        let recovers = version::both_have(version::STREAMS, &version::hello(), &theirs);
        let target = Target {
            // The very host that control reached, whatever its name leads to now.
            address: self.connection.remote().to_string(),
            ..self.plan.target.clone()
        };
        let planes = Planes {
            address,
            tcp,
            grpc: GrpcPlane::shared(target, Handle::current()),
        };
        let policy = match recovers {
            true => Some(self.plan.planes),
            false => self.plan.planes.without_grpc(),
        };
        let too_old = || "the destination is too old for data inside gRPC".to_owned();
        let policy = policy.ok_or_else(|| TransportError::Planes(too_old()))?;
        let ask = self.plan.header.ask.as_ref();
        if ask.is_some_and(|ask| ask.verify) && first.verify_key.is_empty() {
            let reason = "the destination cannot judge what is sent, which --verify asks for; install the same \
                          release of blit on both sides";
            let reason = reason.to_owned();
            return Err(ControlError::Incompatible { reason }.into());
        }
        self.serving.prove(&first.verify_key)?;
        self.serving
            .serve(Response::Negotiation(DataTransferNegotiation {
                files_to_upload: first.files_to_upload,
                files_to_hash: first.files_to_hash,
                ..DataTransferNegotiation::default()
            }))?;
        Ok(SinkDialler::new(
            planes,
            (policy, recovers),
            Arc::clone(&self.plan.on_tried),
            dialler::asking(self.connection.client(), first.session),
            first.one_time_tokens,
        ))
    }
}

fn broken(connection: &Connection, peer: &str, status: &Status) -> TransportError {
    match connection.explain(status) {
        ControlError::Refused { reason, .. } | ControlError::Unreachable { reason, .. } => {
            lost(peer, &reason)
        }
        error => error.into(),
    }
}

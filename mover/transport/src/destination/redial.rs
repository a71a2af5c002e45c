//! Opens data streams of a pull anew where others broke: in a pull it is the destination that dials.
//!
//! Invariant: a stream that broke is replaced over the plane of the session; where that cannot be reached any more, content
//! goes inside gRPC from then on, if it may.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use blit_proto::control::Client;
use blit_proto::v2::StreamsRequest;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::link::Link;
use super::reading::receive;
use crate::data::{DataPlane, FrameStream};
use crate::planes::{PlaneKind, Tried};

/// How long the source may take to answer a request for tokens.
const ANSWER: Duration = Duration::from_secs(5);

/// How long TCP is tried again before content goes inside gRPC.
const TCP_PATIENCE: Duration = Duration::from_secs(3);

/// Time between two attempts; it is doubled after each that fails.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest time between two attempts: the numbers of streams are not without end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who opens streams in the place of others.
pub(super) struct Redialler {
    pub(super) link: Weak<Link>,
    pub(super) client: Client,
    pub(super) session: String,
    /// The plane in use.
    pub(super) plane: (PlaneKind, Arc<dyn DataPlane>),
    /// What is used where TCP cannot be used any more, if that is allowed.
    pub(super) grpc: Option<Arc<dyn DataPlane>>,
}

impl Redialler {
    /// Opens one stream for each that is over, until there is no session any more.
    pub(super) async fn run(mut self, mut over: mpsc::UnboundedReceiver<()>) {
        let (mut pause, mut replaced) = (PAUSE, None::<Instant>);
        while over.recv().await.is_some() {
            let begun = Instant::now();
            if replaced.is_some_and(|when| when.elapsed() < LONGEST_PAUSE) {
                // It broke at once.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = PAUSE;
            }
            while let Err(reason) = self.replace().await {
                tracing::debug!(reason, "a data stream could not be replaced");
                // How long a session may be without any stream is judged by the link.
                let Some(link) = self.link.upgrade().filter(|link| !link.is_over()) else {
                    return;
                };
                if begun.elapsed() >= TCP_PATIENCE {
                    self.leave_tcp(&link, reason);
                }
                drop(link);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            replaced = Some(Instant::now());
        }
    }

    async fn replace(&mut self) -> Result<(), String> {
        let (kind, plane) = (self.plane.0, Arc::clone(&self.plane.1));
        let request = StreamsRequest {
            session: self.session.clone(),
            tokens: 1,
            ..StreamsRequest::default()
        };
        let answer = timeout(ANSWER, self.client.streams(request)).await;
        let answer = answer.map_err(|_| "no answer to a request for a token".to_owned())?;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let token = answer.into_inner().one_time_tokens.pop();
        let token = token.ok_or("the source gives no token")?;
        let number = token.stream;
        let opening = tokio::task::spawn_blocking(move || plane.open_receiving(&token));
        let opened = opening.await.map_err(|error| error.to_string())?;
        let frames = opened.map_err(|error| error.to_string())?;
        self.add(number, kind, frames);
        Ok(())
    }

    fn add(&self, number: u32, kind: PlaneKind, frames: Box<dyn FrameStream>) {
        match self.link.upgrade().filter(|link| !link.is_over()) {
            Some(link) => receive(&link, number, kind, frames),
            None => frames.closer().close(),
        }
    }

    fn leave_tcp(&mut self, link: &Link, reason: String) {
        if self.plane.0 == PlaneKind::Tcp
            && let Some(grpc) = self.grpc.take()
        {
            let plane = PlaneKind::Tcp;
            link.streams.tried(vec![Tried { plane, reason }]);
            self.plane = (PlaneKind::Grpc, grpc);
        }
    }
}

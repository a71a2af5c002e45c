use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use blit_proto::pki::{Authority, PeerName, PeerPattern, Role, tls};
use blit_proto::v2::blit_server::{Blit, BlitServer};
use blit_proto::v2::*;
use futures::Stream;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::pace::{Note, Pace};
use super::{Followers, State, Target, UPDATE_BYTES, View, interval};
use crate::authority::{OperatorIdentity, load};
use crate::fake_api::FakeApi;
use crate::workqueue::JobKey;

const UID: &str = "6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e";

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A mover that says what the test tells it to.
struct FakeMover {
    updates: watch::Receiver<ProgressUpdate>,
}

#[tonic::async_trait]
impl Blit for FakeMover {
    type PushStream = BoxStream<ServerPushResponse>;
    type PullStream = BoxStream<PullChunk>;
    type ListStream = BoxStream<ListResponse>;
    type ProgressStream = BoxStream<ProgressUpdate>;
    type DataStream = BoxStream<DataBytes>;

    async fn data(
        &self,
        _: Request<Streaming<DataBytes>>,
    ) -> Result<Response<Self::DataStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn streams(
        &self,
        _: Request<StreamsRequest>,
    ) -> Result<Response<StreamsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn push(
        &self,
        _: Request<Streaming<ClientPushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn pull(
        &self,
        _: Request<Streaming<PullRequest>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn purge(&self, _: Request<PurgeRequest>) -> Result<Response<PurgeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn ping(&self, _: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn progress(
        &self,
        _: Request<ProgressRequest>,
    ) -> Result<Response<Self::ProgressStream>, Status> {
        let receiver = self.updates.clone();
        let stream = futures::stream::unfold((receiver, true), async |(mut updates, first)| {
            if !first {
                updates.changed().await.ok()?;
            }
            let update = updates.borrow_and_update().clone();
            Some((Ok(update), (updates, false)))
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn cancel(&self, _: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        Err(Status::unimplemented("the operator deletes the pod"))
    }
}

/// An operator, and a mover of the job whose server can be stopped.
struct Scene {
    operator: OperatorIdentity,
    attempt_ca: String,
    address: SocketAddr,
    updates: watch::Sender<ProgressUpdate>,
    acceptor: TlsAcceptor,
    /// Connections end with it. Always there but in `drop`.
    server: Option<Runtime>,
}

impl Scene {
    async fn set() -> Self {
        let api = FakeApi::start().await;
        let operator = load(&api.client(), "blit", SystemTime::now())
            .await
            .unwrap();
        let authority = Authority::new("test", SystemTime::now()).unwrap();
        let identity = authority
            .issue(&expected())
            .unwrap()
            .with_operator_ca(operator.ca_pem.clone());
        let config = tls::server_config(&identity, vec![PeerPattern::AnyOperator]).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (updates, receiver) = watch::channel(update("copy", 1));
        let acceptor = TlsAcceptor::from(config);
        let server = serve(listener, acceptor.clone(), receiver);
        Self {
            operator,
            attempt_ca: authority.certificate_pem().to_owned(),
            address,
            updates,
            acceptor,
            server: Some(server),
        }
    }

    fn target(&self) -> Target {
        Target {
            job: JobKey::new("ns", "job"),
            job_uid: UID.to_owned(),
            attempt: 1,
            address: self.address,
            expected: expected(),
            attempt_ca: self.attempt_ca.clone(),
        }
    }

    /// Returns followers and what they notify.
    fn followers(&self) -> (Followers, mpsc::UnboundedReceiver<JobKey>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let followers = Followers::new(self.operator.clone(), move |key| {
            let _ = sender.send(key);
        });
        (followers, receiver)
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }

    /// Serves again at the same address.
    async fn restart(&mut self) {
        self.stop();
        // Binds although the connections of before linger.
        let listener = TcpListener::bind(self.address).await.unwrap();
        let receiver = self.updates.subscribe();
        let listener = listener.into_std().unwrap();
        let server = serve(listener, self.acceptor.clone(), receiver);
        self.server = Some(server);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop();
    }
}

fn expected() -> PeerName {
    PeerName::mover(UID, 1, Role::Destination).unwrap()
}

fn update(phase: &str, bytes_done: u64) -> ProgressUpdate {
    ProgressUpdate {
        phase: phase.to_owned(),
        bytes_done,
        ..ProgressUpdate::default()
    }
}

fn serve(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    updates: watch::Receiver<ProgressUpdate>,
) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.spawn(async move {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (sender, incoming) = mpsc::channel::<std::io::Result<TlsStream<TcpStream>>>(1);
        let accept = async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(tcp).await {
                    let _ = sender.send(Ok(stream)).await;
                }
            }
        };
        let mover = FakeMover { updates };
        let server = tonic::transport::Server::builder()
            .add_service(BlitServer::new(mover))
            .serve_with_incoming(ReceiverStream::new(incoming));
        tokio::select! {
            () = accept => {}
            _ = server => {}
        }
    });
    runtime
}

async fn notified(notes: &mut mpsc::UnboundedReceiver<JobKey>) {
    let key = timeout(Duration::from_secs(20), notes.recv()).await;
    assert_eq!(key.unwrap().unwrap(), JobKey::new("ns", "job"));
}

/// Waits until the view is as wanted.
async fn until(followers: &Followers, wanted: impl Fn(&View) -> bool) -> View {
    timeout(Duration::from_secs(20), async {
        loop {
            match followers.latest(UID) {
                Some(view) if wanted(&view) => return view,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_figures_of_a_mover_are_read_to_its_last_word() {
    let scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    followers.follow(scene.target());
    notified(&mut notes).await;
    let view = followers.latest(UID).unwrap();
    assert_eq!(view.state, State::Connected);
    assert_eq!(view.attempt, 1);
    assert_eq!(view.update.unwrap().bytes_done, 1);
    assert!(view.received.is_some());
    // A new phase is told at once.
    let begin = Instant::now();
    scene.updates.send_replace(update("delete", 2));
    notified(&mut notes).await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    let mut last = update("finish", 3);
    last.summary = Some(PushSummary::default());
    scene.updates.send_replace(last);
    notified(&mut notes).await;
    let view = until(&followers, |view| view.state == State::Ended).await;
    assert!(view.update.unwrap().summary.is_some());
    followers.forget(UID);
    assert_eq!(followers.latest(UID), None);
}

#[tokio::test]
async fn an_update_within_the_interval_is_told_when_it_is_over_even_if_no_other_comes() {
    let scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    followers.follow(scene.target());
    notified(&mut notes).await;
    let begin = Instant::now();
    scene.updates.send_replace(update("copy", 2));
    until(&followers, |view| {
        view.update.as_ref().unwrap().bytes_done == 2
    })
    .await;
    assert!(notes.try_recv().is_err());
    notified(&mut notes).await;
    assert!(begin.elapsed() > Duration::from_secs(1));
}

#[tokio::test]
async fn a_mover_that_cannot_be_reached_keeps_its_figures_and_is_followed_again_when_it_is_back() {
    let mut scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    followers.follow(scene.target());
    notified(&mut notes).await;
    scene.stop();
    notified(&mut notes).await;
    let view = followers.latest(UID).unwrap();
    let State::Unreachable { address, hint } = view.state else {
        panic!("{:?}", view.state);
    };
    assert_eq!(address, scene.address);
    assert!(
        hint.contains(&address.to_string()) && hint.contains("network policy"),
        "{hint}"
    );
    assert_eq!(view.update.unwrap().bytes_done, 1);
    scene.restart().await;
    notified(&mut notes).await;
    assert_eq!(followers.latest(UID).unwrap().state, State::Connected);
}

#[tokio::test]
async fn a_mover_of_another_attempt_is_not_believed() {
    let scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    followers.follow(Target {
        attempt: 2,
        expected: PeerName::mover(UID, 2, Role::Destination).unwrap(),
        ..scene.target()
    });
    notified(&mut notes).await;
    let view = followers.latest(UID).unwrap();
    assert!(matches!(&view.state, State::Unreachable { hint, .. } if hint.contains("/1/")));
    assert_eq!(view.update, None);
}

#[tokio::test]
async fn an_update_that_is_far_too_long_is_not_kept() {
    let scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    scene
        .updates
        .send_replace(update(&"x".repeat(2 * UPDATE_BYTES), 9));
    followers.follow(scene.target());
    notified(&mut notes).await;
    let view = followers.latest(UID).unwrap();
    assert!(matches!(view.state, State::Unreachable { .. }));
    assert_eq!(view.update, None);
}

#[tokio::test]
async fn the_next_attempt_takes_the_place_of_the_one_before_and_the_same_one_changes_nothing() {
    let scene = Scene::set().await;
    let (followers, mut notes) = scene.followers();
    followers.follow(scene.target());
    notified(&mut notes).await;
    followers.follow(scene.target());
    assert_eq!(followers.latest(UID).unwrap().state, State::Connected);
    let next = Target {
        attempt: 2,
        ..scene.target()
    };
    followers.follow(next);
    let view = followers.latest(UID).unwrap();
    assert_eq!((view.attempt, view.update), (2, None));
}

#[test]
fn all_jobs_together_are_told_of_at_most_five_times_a_second() {
    assert_eq!(interval(0), Duration::from_secs(2));
    assert_eq!(interval(10), Duration::from_secs(2));
    assert_eq!(interval(200), Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn figures_are_told_at_most_once_an_interval_and_only_if_they_changed() {
    let second = Duration::from_secs(1);
    let (start, pace) = (Instant::now(), interval(1));
    let mut told = Pace::default();
    assert_eq!(told.update(&update("copy", 1), start, pace), Note::Now);
    assert_eq!(
        told.update(&update("copy", 2), start + second, pace),
        Note::Later
    );
    assert_eq!(told.due(pace), Some(start + pace));
    assert_eq!(
        told.update(&update("copy", 3), start + 2 * second, pace),
        Note::Now
    );
    assert_eq!(told.due(pace), None);
    let later = ProgressUpdate {
        elapsed_seconds: 9.0,
        idle_seconds: 7.0,
        ..update("copy", 3)
    };
    assert_eq!(told.update(&later, start + 9 * second, pace), Note::Later);
    assert_eq!(told.due(pace), None);
    assert_eq!(
        told.update(&update("delete", 3), start + 9 * second, pace),
        Note::Now
    );
}

#[test]
fn what_was_heard_long_ago_does_not_look_as_if_it_moved_now() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let view = View {
        attempt: 1,
        update: Some(ProgressUpdate {
            idle_seconds: 2.0,
            ..update("copy", 3)
        }),
        received: Some(at(100)),
        state: State::Connecting,
    };
    let idle = |now| view.update_at(at(now)).unwrap().idle_seconds;
    assert_eq!((idle(100), idle(130), idle(90)), (2.0, 32.0, 2.0));
}

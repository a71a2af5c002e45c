//! Trying the data plane: a stream on which the daemon sends zeros, and one of which it takes bytes and drops them. They
//! are opened with tokens as those of a session, over the plane that the client wants, and touch no file.
//!
//! Invariants: who may not read gets nothing sent, who may not write sends nothing. A stream lasts some seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use blit_proto::v2::{DataTransferNegotiation, DataTried};
use blit_proto::version;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::Status;

use super::service::Shared;
use crate::auth::Direction;
use crate::auth::grant::{Principal, Scope};
use crate::auth::token::{TokenBook, random_id};
use crate::data::newcomer::Newcomer;
use crate::data::{Close, FrameSink, FrameStream};
use crate::sync::lock;
use crate::trial::{LONGEST, Path, give, measure};

/// Most streams at the same time.
const MOST: usize = 16;

/// Most results that are kept.
const RESULTS: usize = 64;

/// How long a client may take to open a stream: as long as its token is good.
const OPENING: Duration = Duration::from_secs(30);

/// How long a result is kept.
const KEPT: Duration = Duration::from_secs(30);

/// The trials of a daemon.
#[derive(Default)]
pub(super) struct Trials {
    under_way: Arc<AtomicUsize>,
    /// What came over a stream, by session, with what its client showed.
    results: Mutex<HashMap<String, (Vec<u8>, DataTried)>>,
}

/// What a client may try.
#[derive(Default)]
pub(super) struct Offered {
    pub(super) receiving: Option<DataTransferNegotiation>,
    pub(super) sending: Option<DataTransferNegotiation>,
}

/// A stream that has come: what ends it, and its end. One of which nobody waits for the end is closed: its thread would wait
/// for its other end, for as long as that likes.
struct Came {
    /// Until it is waited for.
    closer: Option<Arc<dyn Close>>,
    end: oneshot::Receiver<DataTried>,
}

impl Drop for Came {
    fn drop(&mut self) {
        if let Some(closer) = &self.closer {
            closer.close();
        }
    }
}

impl Came {
    /// Waits for the end, for as long as a stream lasts.
    async fn end(mut self) -> Option<DataTried> {
        let closer = self.closer.take()?;
        let tried = match timeout(LONGEST, &mut self.end).await {
            Ok(tried) => tried,
            Err(_) => {
                closer.close();
                (&mut self.end).await
            }
        };
        tried.ok()
    }
}

/// One of the streams that there may be; given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Trials {
    fn take(&self) -> Result<Place, Status> {
        let take = |count: usize| (count < MOST).then_some(count + 1);
        let taken = (self.under_way).fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken
            .map(|_| Place(Arc::clone(&self.under_way)))
            .map_err(|_| {
                Status::resource_exhausted("others try the data plane; try again in half a minute")
            })
    }

    /// Returns what came over a stream that the caller has tried.
    pub(super) fn result(&self, who: &Principal, session: &str) -> Option<DataTried> {
        let results = lock(&self.results);
        let (proof, tried) = results.get(session)?;
        (*proof == who.proof).then(|| tried.clone())
    }

    fn keep(&self, session: &str, proof: Vec<u8>, tried: DataTried) {
        let mut results = lock(&self.results);
        if results.len() < RESULTS {
            results.insert(session.to_owned(), (proof, tried));
        }
    }

    fn forget(&self, session: &str) {
        lock(&self.results).remove(session);
    }
}

/// Opens the streams that somebody may try. Call it on a runtime.
pub(super) fn offer(shared: &Arc<Shared>, who: &Principal) -> Result<Offered, Status> {
    let scopes = who.grant.scopes;
    let offered = |may: bool, direction| match may {
        true => open(shared, who, direction).map(Some),
        false => Ok(None),
    };
    let writes = scopes.has(Scope::Write) && !shared.read_only;
    Ok(Offered {
        receiving: offered(scopes.has(Scope::Read), Direction::Pull)?,
        sending: offered(writes, Direction::Push)?,
    })
}

fn open(
    shared: &Arc<Shared>,
    who: &Principal,
    direction: Direction,
) -> Result<DataTransferNegotiation, Status> {
    let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
    let place = shared.trials.take()?;
    let session = random_id().map_err(|error| internal(&error))?;
    let tokens =
        TokenBook::new(&session, direction, &who.proof).map_err(|error| internal(&error))?;
    let token = tokens
        .mint(0, SystemTime::now())
        .map_err(|error| internal(&error))?;
    let (streams, mut came) = mpsc::unbounded_channel();
    let on_stream = Arc::new(move |_, newcomer: Newcomer| {
        let begun = match direction {
            Direction::Pull => send(newcomer.into_sink()),
            Direction::Push => receive(newcomer.into_frames()),
        };
        match begun {
            // Fails if it was given up, and closes it then.
            Ok(begun) => drop(streams.send(begun)),
            Err(error) => tracing::warn!(%error, "cannot start a thread"),
        }
    });
    let desk = shared.desks.open(Arc::new(tokens), on_stream);
    let (trials, proof, id) = (Arc::clone(shared), who.proof.clone(), session.clone());
    tokio::spawn(async move {
        let came = timeout(OPENING, came.recv()).await;
        drop(desk);
        let Ok(Some(came)) = came else {
            return;
        };
        let tried = came.end().await;
        drop(place);
        if let Some(tried) = tried {
            trials.trials.keep(&id, proof, tried);
            tokio::time::sleep(KEPT).await;
            trials.trials.forget(&id);
        }
    });
    Ok(DataTransferNegotiation {
        hello: Some(version::hello()),
        data_port: u32::from(shared.data_port),
        one_time_tokens: vec![token],
        session,
        version: version::MAX,
        ..DataTransferNegotiation::default()
    })
}

/// Begins to send.
fn send(mut sink: Box<dyn FrameSink>) -> std::io::Result<Came> {
    let closer = sink.closer();
    begin(closer, move || {
        // Of one that the client has closed there is nothing to tell.
        let path = give(&mut *sink).ok().flatten();
        DataTried {
            path: path.as_ref().map(Path::to_wire),
            ..DataTried::default()
        }
    })
}

/// Begins to receive.
fn receive(mut frames: Box<dyn FrameStream>) -> std::io::Result<Came> {
    let closer = frames.closer();
    begin(closer, move || {
        let measured = measure(&mut *frames);
        DataTried {
            bytes: measured.bytes,
            seconds: measured.took.as_secs_f64(),
            path: None,
        }
    })
}

fn begin(
    closer: Arc<dyn Close>,
    work: impl FnOnce() -> DataTried + Send + 'static,
) -> std::io::Result<Came> {
    let (ended, end) = oneshot::channel();
    let thread = std::thread::Builder::new().name("blit-trial".to_owned());
    thread.spawn(move || {
        // Fails if nobody wants to know any more.
        let _ = ended.send(work());
    })?;
    let closer = Some(closer);
    Ok(Came { closer, end })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A stream that says nothing until it is closed.
    struct Silent(Mutex<Option<Sender<()>>>);

    impl Close for Silent {
        fn close(&self) {
            lock(&self.0).take();
        }
    }

    /// A stream that has come, when its thread ends, and the stream: dropping its closer does not close it.
    fn silent() -> (Came, Receiver<()>, Arc<Silent>) {
        let (open, closed) = channel();
        let (working, ended) = channel();
        let closer = Arc::new(Silent(Mutex::new(Some(open))));
        let stream = Arc::clone(&closer);
        let came = begin(closer, move || {
            let _working = working;
            // Fails when it is closed.
            assert!(closed.recv().is_err());
            DataTried::default()
        });
        (came.unwrap(), ended, stream)
    }

    #[test]
    fn the_thread_of_a_stream_that_comes_when_nobody_waits_any_more_ends() {
        let (came, ended, _stream) = silent();
        let (streams, waits) = mpsc::unbounded_channel();
        drop(waits);
        drop(streams.send(came));
        let limit = Duration::from_secs(20);
        use std::sync::mpsc::RecvTimeoutError::Disconnected;
        assert_eq!(ended.recv_timeout(limit), Err(Disconnected));
        // Nor does it wait if the stream was on its way to who waited.
        let (came, ended, _stream) = silent();
        let (streams, waits) = mpsc::unbounded_channel();
        assert!(streams.send(came).is_ok());
        drop((streams, waits));
        assert_eq!(ended.recv_timeout(limit), Err(Disconnected));
    }
}

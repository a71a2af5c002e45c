//! Questions to a daemon, each over a connection of its own. All of this blocks.

use std::time::{Duration, Instant};

use blit_engine::entry::Entry;
use blit_proto::control::access::{Access, DaemonAccess};
use blit_proto::control::{Connection, connect_as, printable};
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{DaemonState, Hello, ListRequest, PurgeRequest, PurgeResponse};
use tokio::sync::mpsc;

use crate::error::TransportError;
use crate::wire::{Violation, entry};

/// How often the round trip is measured; the shortest counts.
const PINGS: usize = 5;

/// Entries of a list that wait to be taken, at most.
const AHEAD: usize = 1024;

/// What a daemon says of itself.
#[derive(Clone, Debug)]
pub struct Pong {
    /// Its program and versions.
    pub hello: Hello,
    /// What the caller may do; `None`: it is no daemon.
    pub daemon: Option<DaemonState>,
    /// How long it took to connect, TLS included.
    pub connect: Duration,
    /// The shortest time between question and answer.
    pub round_trip: Duration,
}

impl Pong {
    /// Asks on a connection that took so long to open.
    pub(crate) async fn of(
        connection: &Connection,
        connect: Duration,
    ) -> Result<Self, TransportError> {
        let answer = connection.ping().await?;
        let mut round_trip = Duration::MAX;
        // The first answer waited for the end of the handshake.
        for _ in 0..PINGS {
            let asked = Instant::now();
            connection.ping().await?;
            round_trip = round_trip.min(asked.elapsed());
        }
        Ok(Self {
            hello: answer.hello.unwrap_or_default(),
            daemon: answer.daemon,
            connect,
            round_trip,
        })
    }
}

/// A daemon that can be asked.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `HOST:PORT` of its control plane.
    pub address: String,
    /// By what this side gets in.
    pub access: DaemonAccess,
}

impl Remote {
    /// Asks for a sign of life, and for the round trip several times.
    pub fn ping(&self) -> Result<Pong, TransportError> {
        self.ask(async |connection, connect| Pong::of(&connection, connect).await)
    }

    /// Lists a directory, or the one entry that something else is; `take` gets the entries as they come, until it
    /// returns false. It may take its time: somebody may read them page by page.
    pub fn list(
        &self,
        path: &[u8],
        mut take: impl FnMut(Entry) -> bool,
    ) -> Result<(), TransportError> {
        let (found, mut entries) = mpsc::channel(AHEAD);
        std::thread::scope(|scope| {
            let asking = std::thread::Builder::new()
                .name("blit-list".to_owned())
                .spawn_scoped(scope, || self.entries(path.to_vec(), found))?;
            while let Some(entry) = entries.blocking_recv() {
                if !take(entry) {
                    break;
                }
            }
            drop(entries);
            asking
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Asks for a list, and hands on what comes until nobody takes it.
    fn entries(&self, path: Vec<u8>, found: mpsc::Sender<Entry>) -> Result<(), TransportError> {
        self.ask(async |connection, _| {
            let answer = connection.client().list(ListRequest { path }).await;
            let mut pieces = answer
                .map_err(|status| connection.explain(&status))?
                .into_inner();
            let mut count = 0;
            loop {
                let piece = pieces.message().await;
                let piece = piece.map_err(|status| connection.explain(&status))?;
                let piece = piece.ok_or_else(|| self.lost("the list has no end"))?;
                for header in piece.entries {
                    if found.send(entry::listed(header)?).await.is_err() {
                        return Ok(());
                    }
                    count += 1;
                }
                match piece.end.and_then(|end| end.outcome) {
                    None => {}
                    Some(Outcome::CompleteCount(told)) if told == count => return Ok(()),
                    Some(Outcome::CompleteCount(_)) => {
                        return Err(
                            Violation::new("a list has not as many entries as it says").into()
                        );
                    }
                    Some(Outcome::IncompleteReason(reason)) => {
                        return Err(TransportError::Source(printable(&reason)));
                    }
                }
            }
        })
    }

    /// Removes paths, or says what that would do.
    pub fn purge(
        &self,
        paths: Vec<Vec<u8>>,
        dry_run: bool,
    ) -> Result<PurgeResponse, TransportError> {
        self.ask(async |connection, _| {
            let answer = connection
                .client()
                .purge(PurgeRequest { paths, dry_run })
                .await;
            let answer = answer.map_err(|status| connection.explain(&status))?;
            Ok(answer.into_inner())
        })
    }

    fn ask<T>(
        &self,
        question: impl AsyncFnOnce(Connection, Duration) -> Result<T, TransportError>,
    ) -> Result<T, TransportError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let begun = Instant::now();
            let access = Access::Daemon(self.access.clone());
            let connection = connect_as(&self.address, &access).await?;
            question(connection, begun.elapsed()).await
        })
    }

    fn lost(&self, reason: &str) -> TransportError {
        TransportError::Lost {
            peer: self.address.clone(),
            reason: reason.to_owned(),
        }
    }
}

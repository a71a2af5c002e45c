//! Lists that a daemon gives: how many at once, and how they end whose reader does not read.
//!
//! Each takes a thread, and pieces that wait to be read. So there are few at a time, few of them for one client, and
//! one that nobody goes on reading ends with its connection: what is on its way in HTTP/2 would stay else.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use blit_proto::LISTING_PART_BYTES;
use blit_proto::v2::listing_end::Outcome;
use blit_proto::v2::{ListResponse, ListingEnd};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::Status;

use super::Handler;
use super::service::{Shared, status};
use crate::auth::grant::Principal;
use crate::control::Known;
use crate::path::RelPath;
use crate::sync::lock;
use crate::wire::entry;

/// Most lists at the same time.
const MOST: usize = 64;

/// Most of them for one token or certificate: who holds one cannot keep others from listing.
const MOST_EACH: usize = 8;

/// Pieces of a list that wait to be sent, at most.
const PIECES: usize = 4;

/// Why a connection ends.
const NOT_READ: &str = "a list was asked for and not read";

/// The lists of a daemon.
pub(super) struct Lists {
    /// How long nothing of one may be read.
    unread: Duration,
    under_way: UnderWay,
}

/// Number of lists, by what their clients showed.
type UnderWay = Arc<Mutex<HashMap<Vec<u8>, usize>>>;

/// One of the lists that there may be; given back when it is dropped.
struct Taken {
    under_way: UnderWay,
    proof: Vec<u8>,
}

/// The pieces of a list on their way to its client.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Result<ListResponse, Status>>,
    reading: Arc<Reading>,
    /// Dropped with the rest, which ends the watch.
    _here: oneshot::Sender<()>,
    _taken: Arc<Taken>,
}

/// How a client reads.
#[derive(Debug, Default)]
struct Reading {
    /// Pieces that were taken.
    taken: AtomicU64,
    /// It has taken all that there is, and waits for more: that it gets none is not its fault.
    waits: AtomicBool,
}

/// Begins a list. Who asks and for what has been judged; `connection` is the one that ends if it is not read.
pub(super) fn open(
    shared: &Arc<Shared>,
    who: &Principal,
    connection: Option<Known>,
    path: RelPath,
) -> Result<Pieces, Status> {
    let taken = Arc::new(shared.lists.take(&who.proof)?);
    tracing::info!(who = who.name, %path, "list");
    let (pieces, receiver) = mpsc::channel(PIECES);
    let unread = shared.lists.unread;
    let (shared, held) = (Arc::clone(shared), Arc::clone(&taken));
    tokio::task::spawn_blocking(move || {
        let _held = held;
        list(&*shared.handler, &path, &pieces);
    });
    let (here, gone) = oneshot::channel();
    let reading = Arc::<Reading>::default();
    let (watched, name) = (Arc::clone(&reading), who.name.clone());
    tokio::spawn(async move {
        if is_left_unread(&watched, gone, unread).await
            && let Some(connection) = connection
        {
            tracing::warn!(who = name, connection = connection.number, "{NOT_READ}");
            connection.end(NOT_READ);
        }
    });
    Ok(Pieces {
        pieces: receiver,
        reading,
        _here: here,
        _taken: taken,
    })
}

impl Lists {
    pub(super) fn new(unread: Duration) -> Self {
        Self {
            unread,
            under_way: UnderWay::default(),
        }
    }

    fn take(&self, proof: &[u8]) -> Result<Taken, Status> {
        let mut under_way = lock(&self.under_way);
        let own = under_way.get(proof).copied().unwrap_or(0);
        let refused = |whose: &str, most| {
            let reason =
                format!("{whose} {most} lists under way already; try again when one has ended");
            Err(Status::resource_exhausted(reason))
        };
        if own >= MOST_EACH {
            return refused("you have", MOST_EACH);
        }
        if under_way.values().sum::<usize>() >= MOST {
            return refused("the daemon has", MOST);
        }
        under_way.insert(proof.to_vec(), own + 1);
        Ok(Taken {
            under_way: Arc::clone(&self.under_way),
            proof: proof.to_vec(),
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut under_way = lock(&self.under_way);
        if let Some(own) = under_way.get_mut(&self.proof) {
            *own -= 1;
            if *own == 0 {
                under_way.remove(&self.proof);
            }
        }
    }
}

impl Stream for Pieces {
    type Item = Result<ListResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.poll_recv(cx);
        let waits = polled.is_pending();
        self.reading.waits.store(waits, Ordering::Relaxed);
        if !waits {
            self.reading.taken.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

/// Returns true when nothing of a list was read for so long, false when it is gone.
async fn is_left_unread(
    reading: &Reading,
    mut gone: oneshot::Receiver<()>,
    limit: Duration,
) -> bool {
    let mut before = None;
    loop {
        if timeout(limit, &mut gone).await.is_ok() {
            return false;
        }
        let now = reading.taken.load(Ordering::Relaxed);
        if before == Some(now) && !reading.waits.load(Ordering::Relaxed) {
            return true;
        }
        before = Some(now);
    }
}

/// Sends a list in pieces, from a thread that may block.
fn list(
    handler: &dyn Handler,
    path: &RelPath,
    pieces: &mpsc::Sender<Result<ListResponse, Status>>,
) {
    let (mut piece, mut bytes, mut count) = (ListResponse::default(), 0, 0);
    let listed = handler.list(path, &mut |found| {
        let header = entry::to_header(&found);
        bytes += header.encoded_len() + 8;
        count += 1;
        piece.entries.push(header);
        if bytes < LISTING_PART_BYTES {
            return true;
        }
        bytes = 0;
        // Fails when the client has gone.
        pieces.blocking_send(Ok(std::mem::take(&mut piece))).is_ok()
    });
    let last = match listed {
        Ok(incomplete) => {
            let outcome = match incomplete {
                None => Outcome::CompleteCount(count),
                Some(reason) => Outcome::IncompleteReason(reason),
            };
            piece.end = Some(ListingEnd {
                outcome: Some(outcome),
                ..ListingEnd::default()
            });
            Ok(piece)
        }
        Err(refusal) => Err(status(&refusal)),
    };
    let _ = pieces.blocking_send(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_few_lists_for_one_client_and_some_for_all() {
        let lists = Lists::new(Duration::ZERO);
        let own: Vec<_> = (0..MOST_EACH).map(|_| lists.take(b"a").unwrap()).collect();
        let refused = lists.take(b"a").err().unwrap();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(
            refused.message().starts_with("you have 8"),
            "{}",
            refused.message()
        );
        let others = (MOST_EACH..MOST).map(|n| lists.take(&n.to_ne_bytes()).unwrap());
        let mut others: Vec<_> = others.collect();
        let refused = lists.take(b"b").err().unwrap();
        assert!(
            refused.message().starts_with("the daemon has 64"),
            "{}",
            refused.message()
        );
        others.pop();
        let _last = lists.take(b"b").unwrap();
        drop(own);
        assert!(lists.take(b"a").is_ok());
    }

    #[test]
    fn a_list_is_left_unread_when_there_is_something_to_read_and_nobody_does() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let limit = Duration::from_millis(20);
        runtime.block_on(async {
            let (_here, gone) = oneshot::channel();
            assert!(is_left_unread(&Reading::default(), gone, limit).await);
            // One that waits for the daemon is not at fault, however long that takes.
            let (here, gone) = oneshot::channel();
            let waits = Reading {
                waits: AtomicBool::new(true),
                ..Reading::default()
            };
            let (unread, ()) = tokio::join!(is_left_unread(&waits, gone, limit), async {
                tokio::time::sleep(limit * 10).await;
                drop(here);
            });
            assert!(!unread);
        });
    }
}

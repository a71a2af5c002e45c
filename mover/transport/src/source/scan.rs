//! Scans the tree on several threads and sends the listing in order.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use blit_engine::entry::DirId;
use blit_engine::plan::heartbeat::STARVED;
use blit_engine::run::{End, Listing, Next, Part, SourceError};
use blit_engine::tree::LocalSource;
use blit_engine::watch::{Wait, idle, waits};
use blit_proto::v2::client_push_request::Message;
use blit_proto::v2::{ClientPushRequest, FileHeader, ListingPart, ManifestComplete, Relisted};
use tokio::sync::mpsc;

use super::activity::Activity;
use super::retained::Retained;
use crate::sync::{lock, wait_timeout};
use crate::wire::order::{Sequencer, Slot};
use crate::wire::split;

/// What goes to the destination.
pub(super) type Outbound = mpsc::Sender<ClientPushRequest>;

/// Bound of the wait for another thread to find more; only a backstop, it is woken before.
const WAIT: Duration = Duration::from_millis(100);

/// Names in one message of a relist, in bytes.
const RELIST_BYTES: usize = blit_proto::LISTING_PART_BYTES;

/// What the scanning threads of a session share.
pub(super) struct Scan {
    source: Arc<LocalSource>,
    retained: Arc<Retained>,
    activity: Arc<Activity>,
    outbound: Outbound,
    order: Mutex<Order>,
    /// Parts found so far, to notice that there may be more to scan.
    found: Mutex<u64>,
    more: Condvar,
}

struct Order {
    sequencer: Sequencer<Prepared>,
    /// Next number of a piece in each directory that has not ended.
    numbers: HashMap<u64, u32>,
    totals: ManifestComplete,
    complete: bool,
}

/// A part with its messages made; only the numbers are missing.
struct Prepared {
    part: Part,
    groups: Vec<Vec<FileHeader>>,
}

impl Scan {
    pub(super) fn new(
        source: Arc<LocalSource>,
        retained: Arc<Retained>,
        activity: Arc<Activity>,
        outbound: Outbound,
    ) -> Self {
        let order = Order {
            sequencer: Sequencer::new(),
            numbers: HashMap::new(),
            totals: ManifestComplete::default(),
            complete: false,
        };
        let (found, more) = (Mutex::new(0), Condvar::new());
        Self {
            source,
            retained,
            activity,
            outbound,
            order: Mutex::new(order),
            found,
            more,
        }
    }

    /// Works until the tree is listed or the session is over; what one of several threads runs.
    pub(super) fn run(&self) -> Result<(), SourceError> {
        loop {
            let seen = *lock(&self.found);
            // Whether workers starve is known at the destination only.
            match self.source.next(STARVED)? {
                Next::Part(part) => {
                    *lock(&self.found) += 1;
                    self.more.notify_all();
                    let groups = split::split(&part);
                    if !self.send(Prepared { part, groups }) {
                        return Ok(());
                    }
                }
                Next::Pending => {
                    waits(Wait::Work);
                    let found = lock(&self.found);
                    if *found == seen {
                        drop(wait_timeout(&self.more, found, WAIT));
                    }
                }
                Next::Finished => {
                    self.more.notify_all();
                    return Ok(());
                }
            }
        }
    }

    /// Sends a part when its turn has come, and what waited for it. Returns false if the session is over.
    fn send(&self, prepared: Prepared) -> bool {
        let mut order = idle(Wait::Message, || lock(&self.order));
        let slot = Slot::of(&prepared.part);
        for prepared in order.sequencer.push(slot, prepared) {
            for part in self.number(&mut order, prepared) {
                // Held on to: whoever comes next would only overtake.
                if !self.message(Message::Part(part)) {
                    return false;
                }
            }
        }
        if order.sequencer.is_finished() && !order.complete {
            order.complete = true;
            return self.message(Message::ManifestComplete(order.totals));
        }
        true
    }

    /// Numbers the pieces of a part, and keeps its files before anybody can ask for them.
    fn number(&self, order: &mut Order, prepared: Prepared) -> Vec<ListingPart> {
        let Prepared { part, groups } = prepared;
        let Part {
            dir,
            part: local,
            entries,
            end,
        } = part;
        let number = order.numbers.entry(dir.0).or_default();
        let first = *number;
        *number += groups.len() as u32;
        order.totals.entries += entries.len() as u64;
        let mut entries = entries.into_iter();
        let pieces = groups
            .iter()
            .map(|group| entries.by_ref().take(group.len()).collect());
        self.retained.keep(dir, local, first, pieces.collect());
        if end.is_some() {
            order.numbers.remove(&dir.0);
            order.totals.directories += 1;
        }
        messages(dir, first, groups, end.as_ref())
    }

    fn message(&self, message: Message) -> bool {
        self.activity.moved();
        let request = ClientPushRequest {
            message: Some(message),
        };
        idle(Wait::Message, || {
            self.outbound.blocking_send(request).is_ok()
        })
    }
}

fn messages(
    dir: DirId,
    first: u32,
    groups: Vec<Vec<FileHeader>>,
    end: Option<&End>,
) -> Vec<ListingPart> {
    let last = groups.len() - 1;
    let parts = (first..)
        .zip(groups)
        .enumerate()
        .map(|(at, (part, entries))| ListingPart {
            dir: dir.0,
            part,
            entries,
            end: if at == last {
                end.map(split::end_to_wire)
            } else {
                None
            },
        });
    parts.collect()
}

/// Lists the names of a directory again; returns the messages of the answer.
pub(super) fn relist(source: &LocalSource, dir: u64) -> Vec<Relisted> {
    let names = match source.relist(DirId(dir)) {
        Ok(names) => names,
        Err(error) => {
            let error = error.to_string();
            return vec![Relisted {
                dir,
                names: Vec::new(),
                last: true,
                error,
            }];
        }
    };
    let mut messages = vec![Relisted {
        dir,
        ..Relisted::default()
    }];
    let mut bytes = 0;
    for name in names {
        bytes += name.len() + 4;
        if bytes > RELIST_BYTES {
            messages.push(Relisted {
                dir,
                ..Relisted::default()
            });
            bytes = name.len() + 4;
        }
        if let Some(message) = messages.last_mut() {
            message.names.push(name.into_vec());
        }
    }
    if let Some(message) = messages.last_mut() {
        message.last = true;
    }
    messages
}

//! How much has been encrypted with the key of a stream. Pure.
//!
//! What AES-GCM keeps secret weakens with the number of records under one key (RFC 8446, 5.5). New keys are not agreed on, so the
//! stream ends before, and another takes its place.

/// A record holds a page of a file at least, where it is not the first or the last of a call: the kernel fills one with up to 16 KiB.
const PAGE: u64 = 4096;

/// The part of the limit from which on a stream is to end, so that it does so between two frames.
const RESERVE: u64 = 64;

/// The records under one key, counted from above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wear {
    records: u64,
    limit: u64,
}

/// The key of the stream has encrypted as much as is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of the stream has encrypted as much as is safe; another stream takes its place")]
pub(super) struct WornOut;

impl Wear {
    /// A key that has encrypted some records and may encrypt so many.
    pub(super) fn new(records: u64, limit: u64) -> Self {
        Self { records, limit }
    }

    /// Counts what one call is to send. An error: it must not.
    pub(super) fn send(&mut self, bytes: u64) -> Result<(), WornOut> {
        let records = self.records.saturating_add(bytes / PAGE + 2);
        if records > self.limit {
            return Err(WornOut);
        }
        self.records = records;
        Ok(())
    }

    /// Returns true if the stream is to end as soon as it can.
    pub(super) fn is_near(&self) -> bool {
        self.records >= self.limit - self.limit / RESERVE
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, Wear, WornOut};

    #[test]
    fn a_stream_is_to_end_before_its_key_is_worn_out_and_cannot_go_on_after() {
        let mut wear = Wear::new(0, 6400);
        let mut sent = 0;
        while !wear.is_near() {
            wear.send(8 * PAGE).unwrap();
            sent += 10;
        }
        // Nine in ten thousand would be too late, a half too early.
        assert!((6300..6310).contains(&sent), "{sent}");
        while wear.send(8 * PAGE).is_ok() {
            sent += 10;
        }
        assert_eq!(sent, 6400);
        assert_eq!(wear.send(0), Err(WornOut));
        assert!(wear.is_near());
    }

    #[test]
    fn what_the_handshake_sent_counts_too() {
        let mut wear = Wear::new(97, 100);
        assert!(!Wear::new(1, 1 << 24).is_near());
        wear.send(1).unwrap();
        assert_eq!(wear.send(1), Err(WornOut));
    }

    #[test]
    fn a_call_is_never_counted_as_fewer_records_than_the_kernel_can_make_of_it() {
        for bytes in [0, 1, PAGE - 1, PAGE, PAGE + 1, 4 << 20] {
            let mut wear = Wear::new(0, u64::MAX);
            wear.send(bytes).unwrap();
            // A page each, beginning and ending in the middle of one.
            assert!(wear.records > bytes.div_ceil(PAGE), "{bytes}");
        }
    }

    #[test]
    fn a_key_without_a_limit_is_never_worn_out() {
        let mut wear = Wear::new(u64::MAX - 1, u64::MAX);
        wear.send(u64::MAX).unwrap();
        assert!(!Wear::new(1 << 60, u64::MAX).is_near());
    }
}

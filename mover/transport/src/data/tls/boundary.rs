//! Where the records of TLS end in what comes from a socket, so that what follows the record read last can be left there.
//!
//! Pure: it is told of bytes, and reads none.

/// Bytes of the header of a record: its type, a version, and two of length.
const HEADER: usize = 5;

/// How far a reader is in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    come: usize,
    /// Bytes of the body that have not.
    left: usize,
}

impl Boundary {
    /// Returns how many bytes may be read before a record may end: at least one.
    pub(crate) fn limit(&self) -> usize {
        match self.left {
            0 => HEADER - self.come,
            left => left,
        }
    }

    /// Takes what was read, which is no more than the limit.
    pub(crate) fn passed(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.left = self.left.saturating_sub(bytes.len());
            return;
        }
        for byte in bytes.iter().take(HEADER - self.come) {
            self.header[self.come] = *byte;
            self.come += 1;
        }
        if self.come == HEADER {
            let [.., high, low] = self.header;
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.come = 0;
        }
    }

    /// Returns true if all that was read is whole records.
    pub(crate) fn is_between(&self) -> bool {
        self.come == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Boundary, HEADER};

    fn record(length: usize) -> Vec<u8> {
        let mut record = vec![23, 3, 3];
        record.extend(u16::try_from(length).unwrap().to_be_bytes());
        record.extend(std::iter::repeat_n(7, length));
        record
    }

    /// Reads as a socket gives: `most` bytes at a time, never beyond the limit. Returns after how many bytes a record had ended.
    fn ends(bytes: &[u8], most: usize) -> Vec<usize> {
        let (mut boundary, mut read, mut ends) = (Boundary::default(), 0, Vec::new());
        while read < bytes.len() {
            let part = boundary.limit().min(most).min(bytes.len() - read);
            boundary.passed(&bytes[read..read + part]);
            read += part;
            if boundary.is_between() {
                ends.push(read);
            }
        }
        ends
    }

    #[test]
    fn every_record_ends_where_its_header_says_however_the_bytes_come() {
        let lengths = [1, 300, 0, 16_384 + 256, 2];
        let bytes: Vec<u8> = lengths.into_iter().flat_map(record).collect();
        let mut expected = Vec::new();
        for length in lengths {
            expected.push(expected.last().copied().unwrap_or(0) + 5 + length);
        }
        for most in [1, 2, 5, 7, 4096, usize::MAX] {
            assert_eq!(ends(&bytes, most), expected, "{most} bytes at a time");
        }
    }

    #[test]
    fn in_the_middle_of_a_header_or_a_body_nothing_has_ended() {
        let bytes = record(10);
        for cut in 1..bytes.len() {
            assert!(
                ends(&bytes[..cut], usize::MAX).is_empty(),
                "after {cut} bytes"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_never_read_beyond_the_record_that_its_headers_say(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            short in any::<bool>(),
            most in 1..300usize,
        ) {
            let mut bytes = bytes;
            if short {
                // Lengths that end within what comes.
                bytes.iter_mut().for_each(|byte| *byte %= 2);
            }
            let mut expected = Vec::new();
            let mut at = 0;
            while let Some(header) = bytes.get(at..at + HEADER) {
                at += HEADER + usize::from(u16::from_be_bytes([header[3], header[4]]));
                if at > bytes.len() {
                    break;
                }
                expected.push(at);
            }
            prop_assert_eq!(ends(&bytes, most), expected);
        }

        #[test]
        fn a_reader_that_takes_more_than_it_may_breaks_nothing(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40),
        ) {
            let mut boundary = Boundary::default();
            for piece in pieces {
                boundary.passed(&piece);
                prop_assert!((1..=usize::from(u16::MAX)).contains(&boundary.limit()));
            }
        }
    }
}

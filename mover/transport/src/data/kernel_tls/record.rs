//! What records mean that are not content: the good-bye of a stream, and whatever cannot be dealt with.

use std::io;

use nix::sys::socket::TlsGetRecordType;

/// A good-bye (RFC 8446, 6.1): a warning that nothing follows.
pub(super) const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// The type of the record that holds it.
const ALERT: u8 = 21;

/// A request for other keys (RFC 8446, 4.6.3), and what else may follow a handshake.
const KEY_UPDATE: u8 = 24;

/// Where the kernel is told of which type a record is to be (linux/tls.h).
const TLS_SET_RECORD_TYPE: i32 = 1;

/// What a piece of a record that came is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Content,
    GoodBye,
}

/// Tells what came, by the type of its record and its first bytes. An error is the end of the stream.
pub(super) fn meaning(kind: TlsGetRecordType, bytes: &[u8]) -> io::Result<Meaning> {
    let broken = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    match (kind, bytes) {
        (TlsGetRecordType::ApplicationData, _) => Ok(Meaning::Content),
        (TlsGetRecordType::Alert, [_, description]) if *description == CLOSE_NOTIFY[1] => {
            Ok(Meaning::GoodBye)
        }
        (TlsGetRecordType::Alert, [_, description]) => broken(format!(
            "the other end broke off with the TLS alert {description}"
        )),
        (TlsGetRecordType::Handshake, [KEY_UPDATE, ..]) => {
            broken("the other end asks for new keys, which the kernel does not take".to_owned())
        }
        (kind, _) => broken(format!("a TLS record of the type {kind:?} came")),
    }
}

/// Returns the control message that makes of what it goes with an alert: a `struct cmsghdr` and a byte, as long as the kernel aligns it.
pub(super) fn alert_control() -> Vec<u8> {
    let (header, aligned) = (size_of::<libc::cmsghdr>(), size_of::<usize>());
    let mut control = Vec::with_capacity(header + aligned);
    control.extend((header + 1).to_ne_bytes());
    control.extend(libc::SOL_TLS.to_ne_bytes());
    control.extend(TLS_SET_RECORD_TYPE.to_ne_bytes());
    control.push(ALERT);
    control.resize(header + aligned, 0);
    control
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::TlsGetRecordType;
    use proptest::prelude::*;

    use super::{Meaning, alert_control, meaning};

    #[test]
    fn only_a_good_bye_ends_a_stream_in_good_order() {
        let end = meaning(TlsGetRecordType::Alert, &[1, 0]).unwrap();
        assert_eq!(end, Meaning::GoodBye);
        // Who is not warned but told that all is lost may say it so, too.
        let end = meaning(TlsGetRecordType::Alert, &[2, 0]).unwrap();
        assert_eq!(end, Meaning::GoodBye);
        for bytes in [&[2, 20][..], &[1], &[], &[1, 0, 0]] {
            meaning(TlsGetRecordType::Alert, bytes).unwrap_err();
        }
    }

    #[test]
    fn content_is_content_whatever_it_holds() {
        for bytes in [&[1, 0][..], &[24], &[]] {
            let content = meaning(TlsGetRecordType::ApplicationData, bytes).unwrap();
            assert_eq!(content, Meaning::Content);
        }
    }

    #[test]
    fn a_request_for_new_keys_breaks_the_stream_and_says_so() {
        let error = meaning(TlsGetRecordType::Handshake, &[24, 0, 0, 1, 0]).unwrap_err();
        assert!(error.to_string().contains("new keys"), "{error}");
        meaning(TlsGetRecordType::Handshake, &[4]).unwrap_err();
        meaning(TlsGetRecordType::Unknown(99), &[1, 0]).unwrap_err();
    }

    #[test]
    fn the_control_message_is_laid_out_as_the_kernel_has_it() {
        let control = alert_control();
        let (length, rest) = control.split_first_chunk().unwrap();
        assert_eq!(usize::from_ne_bytes(*length), size_of::<usize>() + 8 + 1);
        assert_eq!(
            rest[..8],
            [282_i32.to_ne_bytes(), 1_i32.to_ne_bytes()].concat()
        );
        assert_eq!(rest[8], 21);
        assert_eq!(control.len() % size_of::<usize>(), 0);
    }

    proptest! {
        #[test]
        fn only_content_is_content_and_only_a_good_bye_is_one_whatever_comes(
            kind in 0..=255u8,
            bytes in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            let kind = match kind % 6 {
                0 => TlsGetRecordType::ChangeCipherSpec,
                1 => TlsGetRecordType::Alert,
                2 => TlsGetRecordType::Handshake,
                3 => TlsGetRecordType::ApplicationData,
                _ => TlsGetRecordType::Unknown(kind),
            };
            let is_content = matches!(kind, TlsGetRecordType::ApplicationData);
            let is_alert = matches!(kind, TlsGetRecordType::Alert);
            match meaning(kind, &bytes) {
                Ok(Meaning::Content) => prop_assert!(is_content),
                Ok(Meaning::GoodBye) => prop_assert!(is_alert && bytes.len() == 2 && bytes[1] == 0),
                Err(error) => {
                    prop_assert!(!is_content);
                    prop_assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
                }
            }
        }
    }
}

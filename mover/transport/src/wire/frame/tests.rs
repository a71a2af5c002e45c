use proptest::prelude::*;

use super::{CHUNK_BYTES, END_BYTES, FILES_BYTES, HEADER_BYTES, Header};

fn headers() -> impl Strategy<Value = Header> {
    prop_oneof![
        (1..1000u32).prop_map(|count| Header::Files {
            count,
            length: FILES_BYTES - count
        }),
        (any::<u64>(), 0..1u64 << 62, 1..=CHUNK_BYTES)
            .prop_map(|(id, offset, length)| Header::Chunk { id, offset, length }),
        (any::<u64>(), 0..=END_BYTES).prop_map(|(id, length)| Header::End { id, length }),
    ]
}

proptest! {
    #[test]
    fn every_header_reads_back_as_it_was_sent(header in headers()) {
        prop_assert_eq!(Header::decode(&header.encode()).unwrap(), header);
    }

    #[test]
    fn random_bytes_never_announce_more_than_the_limits(bytes in any::<[u8; HEADER_BYTES]>()) {
        match Header::decode(&bytes) {
            Ok(Header::Files { length, count }) => prop_assert!(length <= FILES_BYTES && count <= length),
            Ok(Header::Chunk { length, .. }) => prop_assert!(length <= CHUNK_BYTES),
            Ok(Header::End { length, .. }) => prop_assert!(length <= END_BYTES),
            Err(_) => {}
        }
    }
}

/// Encodes without checking, then decodes.
fn refused(header: Header) {
    assert!(Header::decode(&header.encode()).is_err(), "{header:?}");
}

#[test]
fn oversize_frames_are_refused_before_anything_is_read() {
    refused(Header::Files {
        count: 1,
        length: FILES_BYTES + 1,
    });
    refused(Header::Files {
        count: u32::MAX,
        length: FILES_BYTES,
    });
    refused(Header::Files {
        count: 0,
        length: 0,
    });
    refused(Header::Chunk {
        id: 1,
        offset: 0,
        length: CHUNK_BYTES + 1,
    });
    refused(Header::Chunk {
        id: 1,
        offset: 0,
        length: 0,
    });
    refused(Header::Chunk {
        id: 1,
        offset: i64::MAX as u64,
        length: 1,
    });
    refused(Header::Chunk {
        id: 1,
        offset: u64::MAX,
        length: 1,
    });
    refused(Header::End {
        id: 1,
        length: END_BYTES + 1,
    });
}

#[test]
fn unknown_types_and_used_reserved_bytes_are_refused() {
    let good = Header::End { id: 1, length: 0 }.encode();
    for at in [0, 1, 2, 3] {
        let mut bytes = good;
        bytes[at] = 9;
        assert!(Header::decode(&bytes).is_err(), "byte {at}");
    }
    assert!(Header::decode(&[0; HEADER_BYTES]).is_err());
}

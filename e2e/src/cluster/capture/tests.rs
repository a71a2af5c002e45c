use super::*;

const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 2), 40_000);
const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 2, 0, 3), 9032);

fn part(place: u32, bytes: &[u8]) -> Segment {
    Segment {
        from: FROM,
        to: TO,
        place,
        opens: false,
        bytes: bytes.to_vec(),
    }
}

fn opening(place: u32) -> Segment {
    Segment {
        opens: true,
        ..part(place, b"")
    }
}

/// What was said, and whether nothing is missing.
fn said(segments: Vec<Segment>) -> (Vec<u8>, bool) {
    let [stream] = &streams(segments)[..] else {
        panic!("not one stream");
    };
    assert_eq!((stream.from, stream.to), (FROM, TO));
    (stream.bytes.clone(), stream.whole)
}

#[test]
fn segments_in_any_order_and_more_than_once_are_one_stream() {
    // The places begin anew after the last.
    let begin = u32::MAX - 2;
    let at = |place: u32, bytes| part(begin.wrapping_add(place), bytes);
    let segments = vec![
        at(5, b"fgh"),
        opening(begin),
        at(0, b"ab"),
        at(1, b"bcdef"),
        at(0, b"a"),
        // Is the other end still there?
        at(u32::MAX, b"x"),
        at(8, b""),
    ];
    assert_eq!(said(segments), (b"abcdefgh".to_vec(), true));
}

#[test]
fn a_stream_of_which_something_is_missing_says_so() {
    let segments = vec![opening(7), part(7, b"ab"), part(10, b"d")];
    assert_eq!(said(segments), (b"ab".to_vec(), false));
    assert_eq!(said(vec![part(7, b"ab")]), (b"ab".to_vec(), false));
}

#[test]
fn a_packet_is_read_as_its_header_says() {
    let mut packet = vec![0; 24 + 24];
    packet[0] = 0x46;
    packet[2..4].copy_from_slice(&(48 + 3_u16).to_be_bytes());
    packet[9] = 6;
    packet[12..16].copy_from_slice(&FROM.ip().octets());
    packet[16..20].copy_from_slice(&TO.ip().octets());
    packet[24..26].copy_from_slice(&FROM.port().to_be_bytes());
    packet[26..28].copy_from_slice(&TO.port().to_be_bytes());
    packet[28..32].copy_from_slice(&9_u32.to_be_bytes());
    packet[36] = 6 << 4;
    // What is behind its end only fills the frame.
    packet.extend_from_slice(b"abc\0\0");
    assert_eq!(segment(&packet), Some(part(9, b"abc")));
    packet[37] = 2;
    let opening = Segment {
        opens: true,
        ..part(10, b"abc")
    };
    assert_eq!(segment(&packet), Some(opening));
    for length in 0..48 {
        assert_eq!(segment(&packet[..length]), None, "{length}");
    }
    packet[9] = 17;
    assert_eq!(segment(&packet), None);
}

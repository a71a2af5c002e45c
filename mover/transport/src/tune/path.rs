//! What the kernel of the side that sends knows of the path of a connection, and what kept it from sending faster. Pure
//! but for [`path`].
//!
//! The kernel counts how long there was something to send, and how much of that it waited for room at the other end or
//! in its own buffer. What is left is the network; what is left of the whole time is the program.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use blit_proto::v2::TcpPath;
use socket2::SockRef;

/// Bytes of `struct tcp_info` that are read: up to the times, which Linux has since 4.10.
const BYTES: usize = 192;

/// Most characters of a name of congestion control; the kernel takes 15.
const NAME_CHARS: usize = 15;

/// What the kernel knows of what one side has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Round trip while data went, with the queues on the way.
    pub round_trip: Duration,
    /// The shortest round trip that was seen.
    pub least_round_trip: Duration,
    /// Bytes of data in a packet at most.
    pub segment: u32,
    /// Largest packet of the path, as far as it is known.
    pub path_mtu: u32,
    /// Name of the congestion control.
    pub congestion_control: String,
    /// Packets with data that were sent, those that were sent again included.
    pub segments: u64,
    /// Packets that were sent again.
    pub segments_again: u64,
    /// How long the stream lasted.
    pub lasted: Duration,
    /// How long there was something to send.
    pub busy: Duration,
    /// How much of that the other end had no room.
    pub receiver: Duration,
    /// How much of that the send buffer was too small.
    pub buffer: Duration,
}

/// What kept a stream from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The network between the two, as congestion control sees it.
    Network,
    /// The side that receives.
    Receiver,
    /// The send buffer.
    Buffer,
    /// The program that sends: nothing was ready.
    Sender,
}

/// Asks the kernel about a connection that has lasted so long; `None` where it does not say enough.
pub(crate) fn path(socket: BorrowedFd<'_>, lasted: Duration) -> Option<Path> {
    let info: [u8; BYTES] = super::tcp_info(socket)?;
    let name = super::congestion(&SockRef::from(&socket)).ok()?;
    Path::read(&info, &name, lasted)
}

impl Path {
    /// Reads `struct tcp_info`; `None` from a kernel whose is shorter.
    fn read(info: &[u8], congestion_control: &str, lasted: Duration) -> Option<Self> {
        if info.len() < BYTES {
            return None;
        }
        let short = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
        let micros = Duration::from_micros;
        Some(Self {
            segment: short(16)?,
            path_mtu: short(60)?,
            round_trip: micros(short(68)?.into()),
            segments_again: short(100)?.into(),
            least_round_trip: micros(short(super::MIN_RTT)?.into()),
            segments: short(156)?.into(),
            busy: micros(long(168)?),
            receiver: micros(long(176)?),
            buffer: micros(long(184)?),
            congestion_control: named(congestion_control),
            lasted,
        })
    }

    /// Returns what took the most time; `None` where the times say nothing.
    pub fn limit(&self) -> Option<Limit> {
        let network = (self.busy.saturating_sub(self.receiver)).saturating_sub(self.buffer);
        let shares = [
            (self.lasted.saturating_sub(self.busy), Limit::Sender),
            (self.buffer, Limit::Buffer),
            (self.receiver, Limit::Receiver),
            (network, Limit::Network),
        ];
        let (time, limit) = shares.into_iter().max_by_key(|(time, _)| *time)?;
        (!time.is_zero()).then_some(limit)
    }

    /// Returns what is said of it on the wire.
    pub(crate) fn to_wire(&self) -> TcpPath {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        TcpPath {
            round_trip_us: micros(self.round_trip),
            least_round_trip_us: micros(self.least_round_trip),
            segment_bytes: self.segment,
            path_mtu: self.path_mtu,
            congestion_control: self.congestion_control.clone(),
            segments: self.segments,
            segments_again: self.segments_again,
            lasted_us: micros(self.lasted),
            busy_us: micros(self.busy),
            receiver_us: micros(self.receiver),
            buffer_us: micros(self.buffer),
        }
    }

    /// Takes what a peer said.
    pub(crate) fn from_wire(told: &TcpPath) -> Self {
        let micros = Duration::from_micros;
        Self {
            round_trip: micros(told.round_trip_us),
            least_round_trip: micros(told.least_round_trip_us),
            segment: told.segment_bytes,
            path_mtu: told.path_mtu,
            congestion_control: named(&told.congestion_control),
            segments: told.segments,
            segments_again: told.segments_again,
            lasted: micros(told.lasted_us),
            busy: micros(told.busy_us),
            receiver: micros(told.receiver_us),
            buffer: micros(told.buffer_us),
        }
    }
}

/// Takes of a name what a name may have.
fn named(name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_graphic);
    plain.take(NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::wire::any_message::{change, changed};

    const SECOND: Duration = Duration::from_secs(1);

    /// A structure whose every byte is its own distance from the beginning.
    fn counted(length: u8) -> Vec<u8> {
        (0..length).collect()
    }

    #[test]
    fn the_fields_are_where_the_kernel_has_them() {
        let path = Path::read(&counted(BYTES as u8), "cubic", SECOND).unwrap();
        let short = |at: u8| u32::from_ne_bytes([at, at + 1, at + 2, at + 3]);
        assert_eq!((path.segment, path.path_mtu), (short(16), short(60)));
        assert_eq!(path.segments_again, u64::from(short(100)));
        let round_trip = Duration::from_micros(short(68).into());
        assert_eq!(path.round_trip, round_trip);
        assert_eq!(path.congestion_control, "cubic");
        // Of a kernel of before 4.10.
        assert_eq!(Path::read(&counted(160), "cubic", SECOND), None);
    }

    #[test]
    fn the_kernel_of_this_machine_says_what_it_knows() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let reading = std::thread::spawn(move || far.read_to_end(&mut Vec::new()).unwrap());
        for _ in 0..64 {
            near.write_all(&[0; 64 << 10]).unwrap();
        }
        let path = path(near.as_fd(), SECOND).unwrap();
        drop(near);
        assert_eq!(reading.join().unwrap(), 4 << 20);
        assert!(path.segments > 0 && path.segment > 500, "{path:?}");
        assert!(path.path_mtu > path.segment, "{path:?}");
        assert!(path.round_trip > Duration::ZERO, "{path:?}");
        assert!(!path.congestion_control.is_empty(), "{path:?}");
    }

    #[test]
    fn what_took_the_most_time_is_the_limit() {
        let path = |busy, receiver, buffer| Path {
            lasted: SECOND,
            busy: Duration::from_millis(busy),
            receiver: Duration::from_millis(receiver),
            buffer: Duration::from_millis(buffer),
            ..Path::default()
        };
        for (path, limit) in [
            (path(1000, 0, 0), Limit::Network),
            (path(1000, 600, 100), Limit::Receiver),
            (path(1000, 100, 600), Limit::Buffer),
            (path(200, 100, 0), Limit::Sender),
        ] {
            assert_eq!(path.limit(), Some(limit), "{path:?}");
        }
        assert_eq!(Path::default().limit(), None);
    }

    #[test]
    fn what_a_peer_says_is_taken_as_figures_and_a_plain_name() {
        let path = Path::read(&counted(BYTES as u8), "bbr", SECOND).unwrap();
        assert_eq!(Path::from_wire(&path.to_wire()), path);
        let liar = TcpPath {
            congestion_control: format!("b\x1b[31m\u{202e}{}", "r".repeat(1 << 20)),
            lasted_us: u64::MAX,
            receiver_us: u64::MAX,
            ..TcpPath::default()
        };
        let path = Path::from_wire(&liar);
        assert_eq!(path.congestion_control, "b[31mrrrrrrrrrr");
        assert_eq!(path.limit(), Some(Limit::Receiver));
    }

    proptest! {
        #[test]
        fn altered_figures_of_a_path_are_figures_and_a_plain_name(
            changes in proptest::collection::vec(change(), 0..6),
            times in any::<[u64; 4]>(),
        ) {
            let [lasted_us, busy_us, receiver_us, buffer_us] = times;
            let told = TcpPath {
                congestion_control: "cubic".to_owned(),
                lasted_us,
                busy_us,
                receiver_us,
                buffer_us,
                ..TcpPath::default()
            };
            if let Ok(told) = TcpPath::decode(&*changed(told.encode_to_vec(), &changes)) {
                let path = Path::from_wire(&told);
                prop_assert!(path.congestion_control.chars().all(|c| c.is_ascii_graphic()));
                prop_assert!(path.congestion_control.len() <= NAME_CHARS);
                let _ = path.limit();
                // What was taken is what was said, and no other figure.
                let TcpPath { congestion_control, .. } = path.to_wire();
                prop_assert_eq!(path.to_wire(), TcpPath { congestion_control, ..told });
            }
        }
    }
}

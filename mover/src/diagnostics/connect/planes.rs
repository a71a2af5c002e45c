//! What was found of the data planes: what may be tried, what a measurement means, and which plane a session would use.
//! Pure.

use std::time::Duration;

use blit_proto::v2::{DaemonState, Hello};
use blit_proto::version;
use blit_transport::planes::PlanePolicy;
use blit_transport::trial::{Limit, Measured, Path, Way};
use serde::Serialize;

use crate::report::text;

/// Packets sent again, of a thousand, from which on the network is said to lose them.
const LOSSES: u64 = 1;

/// Which way content goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    /// From the daemon: a pull.
    Receive,
    /// To the daemon: a push.
    Send,
}

/// What became of one direction of one plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tried {
    Works,
    Fails,
    Not,
}

/// What became of all planes in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Planes {
    pub(super) tcp: Tried,
    pub(super) tls: Tried,
    pub(super) grpc: Tried,
}

/// What a session would do in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// Content goes this way; `second` because TCP cannot be used.
    Over { way: Way, second: bool },
    /// There is no way that it may use.
    None,
    /// What it would use was not tried.
    Unknown,
}

/// What the kernel of the side that sent knows, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PathFound {
    round_trip_seconds: f64,
    least_round_trip_seconds: f64,
    segment_bytes: u32,
    path_mtu: u32,
    congestion_control: String,
    segments: u64,
    segments_again: u64,
    lasted_seconds: f64,
    busy_seconds: f64,
    receiver_limited_seconds: f64,
    buffer_limited_seconds: f64,
    limited_by: Option<&'static str>,
}

/// What a session would use, for programs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chosen {
    transport: &'static str,
    encrypted: bool,
}

impl Planes {
    pub(super) const NONE: Self = Self {
        tcp: Tried::Not,
        tls: Tried::Not,
        grpc: Tried::Not,
    };

    pub(super) fn set(&mut self, way: Way, tried: Tried) {
        match way {
            Way::Tcp => self.tcp = tried,
            Way::Tls => self.tls = tried,
            Way::Grpc => self.grpc = tried,
        }
    }

    /// Returns what a session with these options would do.
    pub(super) fn choose(self, policy: PlanePolicy) -> Choice {
        let over = |way, second| Choice::Over { way, second };
        let (way, tried) = match (policy.tcp, policy.encrypt) {
            (true, false) => (Way::Tcp, self.tcp),
            (true, true) => (Way::Tls, self.tls),
            (false, _) => (Way::Grpc, self.grpc),
        };
        match (tried, self.grpc) {
            (Tried::Works, _) => over(way, false),
            (Tried::Not, _) => Choice::Unknown,
            _ if !policy.tcp || !policy.grpc => Choice::None,
            (_, Tried::Works) => over(Way::Grpc, true),
            (_, Tried::Not) => Choice::Unknown,
            _ => Choice::None,
        }
    }
}

impl Choice {
    /// Says what is chosen.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Over { way: Way::Tcp, .. } => "over TCP, in the clear",
            Self::Over { way: Way::Tls, .. } => "over TCP, inside TLS",
            Self::Over {
                way: Way::Grpc,
                second: false,
            } => "inside gRPC, as asked for",
            Self::Over {
                way: Way::Grpc,
                second: true,
            } => "inside gRPC, because TCP cannot be used",
            Self::None => "in no way that may be used",
            Self::Unknown => "not known, because that was not tried",
        }
    }

    /// Returns what is chosen, for programs.
    pub(super) fn chosen(self) -> Option<Chosen> {
        match self {
            Self::Over { way, .. } => Some(Chosen {
                transport: match way {
                    Way::Tcp | Way::Tls => "TCP",
                    Way::Grpc => "GRPC",
                },
                encrypted: way != Way::Tcp,
            }),
            Self::None | Self::Unknown => None,
        }
    }
}

/// Returns why a direction of a plane is not tried, whatever the daemon offers; `None` if it is.
pub(super) fn not_tried(
    way: Way,
    direction: Direction,
    daemon: &DaemonState,
    hello: &Hello,
) -> Option<&'static str> {
    let has = |scope: &str| daemon.scopes.iter().any(|held| held == scope);
    // Who takes data inside gRPC takes it inside TLS as well.
    let older = !hello.features.iter().any(|held| held == version::STREAMS);
    match (direction, daemon.read_only) {
        (Direction::Receive, _) if !has("read") => Some("the token has not the scope read"),
        (Direction::Send, _) if !has("write") => Some("the token has not the scope write"),
        (Direction::Send, true) => Some("the daemon is read-only"),
        _ if older && way != Way::Tcp => Some(
            "the daemon is of an older release, which takes data over TCP in the clear alone; install the same \
             release of blit on both sides",
        ),
        _ => None,
    }
}

/// Says why there is nothing to try although the token allows it.
pub(super) fn not_offered(direction: Direction) -> &'static str {
    match direction {
        Direction::Receive => "the daemon is of an older release, and offers no stream to try",
        // That it is read-only is told only to who may read.
        Direction::Send => {
            "the daemon is read-only, or of an older release, and offers no stream to try"
        }
    }
}

/// Says what was measured, and what kept it from being more.
pub(super) fn describe(measured: &Measured) -> String {
    let rate = measured
        .rate()
        .map_or_else(|| "works".to_owned(), text::rate);
    match &measured.path {
        Some(path) => format!("{rate}; {}", path_text(path)),
        None => rate,
    }
}

fn path_text(path: &Path) -> String {
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let again = match path.segments_again {
        0 => "none sent again".to_owned(),
        again => format!("{} sent again", text::count(again)),
    };
    let limit = match path.limit() {
        None => String::new(),
        Some(limit) => format!("; limited by {}", limit_text(limit, path)),
    };
    format!(
        "round trip {} under load, {} at best; {} packets of {} bytes (path MTU {}), {again}; {}{limit}",
        millis(path.round_trip),
        millis(path.least_round_trip),
        text::count(path.segments),
        path.segment,
        path.path_mtu,
        path.congestion_control,
    )
}

fn limit_text(limit: Limit, path: &Path) -> &'static str {
    let loses = path.segments_again.saturating_mul(1000) >= path.segments.saturating_mul(LOSSES);
    match limit {
        Limit::Network if loses && path.segments_again > 0 => {
            "the network, which loses packets: look for a bad or overloaded link, or try another congestion control \
             (net.ipv4.tcp_congestion_control) at the side that sends"
        }
        Limit::Network => "the network",
        Limit::Receiver => {
            "the side that receives: its processor, or its receive buffer (net.ipv4.tcp_rmem there)"
        }
        Limit::Buffer => "the send buffer (net.ipv4.tcp_wmem at the side that sends)",
        Limit::Sender => "the side that sends: its processor",
    }
}

/// Returns what programs are told of a path.
pub(super) fn found(path: &Path) -> PathFound {
    PathFound {
        round_trip_seconds: path.round_trip.as_secs_f64(),
        least_round_trip_seconds: path.least_round_trip.as_secs_f64(),
        segment_bytes: path.segment,
        path_mtu: path.path_mtu,
        congestion_control: path.congestion_control.clone(),
        segments: path.segments,
        segments_again: path.segments_again,
        lasted_seconds: path.lasted.as_secs_f64(),
        busy_seconds: path.busy.as_secs_f64(),
        receiver_limited_seconds: path.receiver.as_secs_f64(),
        buffer_limited_seconds: path.buffer.as_secs_f64(),
        limited_by: path.limit().map(|limit| match limit {
            Limit::Network => "network",
            Limit::Receiver => "receiver",
            Limit::Buffer => "sendBuffer",
            Limit::Sender => "sender",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Receive, Send};

    fn planes(tcp: Tried, tls: Tried, grpc: Tried) -> Planes {
        Planes { tcp, tls, grpc }
    }

    fn over(way: Way, second: bool) -> Choice {
        Choice::Over { way, second }
    }

    #[test]
    fn a_session_uses_tcp_and_else_grpc() {
        let all = planes(Tried::Works, Tried::Works, Tried::Works);
        let encrypt = PlanePolicy {
            encrypt: true,
            ..PlanePolicy::ANY
        };
        let choose = Planes::choose;
        assert_eq!(choose(all, PlanePolicy::ANY), over(Way::Tcp, false));
        assert_eq!(choose(all, encrypt), over(Way::Tls, false));
        assert_eq!(choose(all, PlanePolicy::GRPC), over(Way::Grpc, false));
        let blocked = planes(Tried::Fails, Tried::Fails, Tried::Works);
        assert_eq!(choose(blocked, PlanePolicy::ANY), over(Way::Grpc, true));
        assert_eq!(choose(blocked, PlanePolicy::TCP), Choice::None);
        let only_tcp = planes(Tried::Works, Tried::Fails, Tried::Fails);
        assert_eq!(choose(only_tcp, encrypt), Choice::None);
        assert_eq!(choose(only_tcp, PlanePolicy::GRPC), Choice::None);
        assert_eq!(choose(Planes::NONE, PlanePolicy::ANY), Choice::Unknown);
        let older = planes(Tried::Fails, Tried::Not, Tried::Not);
        assert_eq!(choose(older, PlanePolicy::ANY), Choice::Unknown);
    }

    #[test]
    fn an_older_daemon_is_told_of_and_not_asked_for_what_it_does_not_know() {
        let daemon = DaemonState {
            scopes: vec!["read".to_owned(), "write".to_owned()],
            ..DaemonState::default()
        };
        let older = Hello::default();
        for direction in [Receive, Send] {
            assert_eq!(not_tried(Way::Tcp, direction, &daemon, &older), None);
            for way in [Way::Tls, Way::Grpc] {
                let why = not_tried(way, direction, &daemon, &older).unwrap();
                assert!(why.contains("older release"), "{why}");
                assert_eq!(not_tried(way, direction, &daemon, &version::hello()), None);
            }
        }
        // It says nothing of its kernel either.
        let measured = Measured {
            bytes: 1 << 20,
            took: Duration::from_secs(1),
            path: None,
        };
        assert_eq!(describe(&measured), text::rate(1 << 20));
    }

    #[test]
    fn what_limits_is_said_with_what_helps() {
        let path = |segments_again, receiver| Path {
            round_trip: Duration::from_micros(1500),
            least_round_trip: Duration::from_micros(50),
            segment: 1448,
            path_mtu: 1500,
            congestion_control: "cubic".to_owned(),
            segments: 2000,
            segments_again,
            lasted: Duration::from_secs(1),
            busy: Duration::from_secs(1),
            receiver,
            ..Path::default()
        };
        let text = path_text(&path(0, Duration::ZERO));
        assert_eq!(
            text,
            "round trip 1.50 ms under load, 0.05 ms at best; 2,000 packets of 1448 bytes (path MTU 1500), none sent \
             again; cubic; limited by the network"
        );
        let text = path_text(&path(20, Duration::ZERO));
        assert!(text.contains("20 sent again") && text.contains("loses packets"));
        let text = path_text(&path(20, Duration::from_secs(1)));
        assert!(text.ends_with("(net.ipv4.tcp_rmem there)"), "{text}");
        assert_eq!(found(&path(0, Duration::ZERO)).limited_by, Some("network"));
    }
}

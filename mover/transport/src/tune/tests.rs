use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

fn socket() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

#[test]
fn the_kernel_has_the_options_of_a_data_socket() {
    let socket = socket();
    let landed = super::data(SockRef::from(&socket), Duration::from_secs(600)).unwrap();
    assert!(landed.no_delay);
    assert!(landed.keepalive);
    assert_eq!(landed.user_timeout, Some(Duration::from_secs(600)));
}

#[test]
fn the_congestion_control_is_the_better_one_where_nobody_chose_another() {
    let known =
        std::fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control").unwrap();
    let socket = socket();
    SockRef::from(&socket).set_tcp_congestion(b"reno").unwrap();
    let landed = super::data(SockRef::from(&socket), Duration::ZERO).unwrap();
    let is_allowed = known.split_whitespace().any(|name| name == "bbr");
    assert_eq!(landed.congestion, if is_allowed { "bbr" } else { "reno" });
}

#[test]
fn the_round_trip_of_a_connection_is_known_once_something_was_acknowledged() {
    use std::os::fd::AsFd;
    // The handshake was.
    let time = super::round_trip(socket().as_fd()).unwrap();
    assert!(time < Duration::from_secs(10), "{time:?}");
    let mut info = [0; super::MIN_RTT + 4];
    assert_eq!(super::min_rtt(&info), None);
    info[super::MIN_RTT..].copy_from_slice(&50_000_u32.to_ne_bytes());
    assert_eq!(super::min_rtt(&info), Some(Duration::from_millis(50)));
}

#[test]
fn a_control_connection_is_lost_after_twenty_seconds_without_acknowledgement() {
    let socket = socket();
    super::control(SockRef::from(&socket)).unwrap();
    let socket = SockRef::from(&socket);
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_secs(20))
    );
}

#[test]
fn a_connection_is_silent_where_what_was_sent_is_swallowed() {
    use std::os::fd::AsFd;
    assert!(!super::is_silent(socket().as_fd()));
    // State, state of congestion control, retransmissions, probes.
    assert!(!super::swallows([1, 4, 5, 0]));
    assert!(super::swallows([1, 4, 6, 0]));
    // A window that is closed is asked for, and whoever answers lives.
    assert!(!super::swallows([1, 0, 6, 1]));
}

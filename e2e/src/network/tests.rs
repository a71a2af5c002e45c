use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::relay::{Relay, Treatment};
use super::*;

const PORT: u16 = 7;

/// Listens on the near host.
fn listener(network: &Network) -> TcpListener {
    let address = network.socket(Host::Near, PORT);
    let listener = network.inside(Host::Near, || TcpListener::bind(address));
    listener.unwrap().unwrap()
}

/// Dials from the far host.
fn dial(network: &Network, to: SocketAddr) -> std::io::Result<TcpStream> {
    let limit = Duration::from_millis(500);
    let socket = network.inside(Host::Far, || TcpStream::connect_timeout(&to, limit));
    socket.unwrap()
}

fn connect(network: &Network) -> std::io::Result<TcpStream> {
    dial(network, network.socket(Host::Near, PORT))
}

#[test]
fn hosts_reach_each_other_and_nobody_else_reaches_them() {
    for family in [Family::Both, Family::V6Only] {
        let network = Network::with(family).unwrap();
        let listener = listener(&network);
        let mut far = connect(&network).unwrap();
        let (mut near, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), network.address(Host::Far));
        far.write_all(b"hello").unwrap();
        let mut heard = [0; 5];
        near.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        // Somebody else may have this address in the machine's own network; it is not this host.
        let outside = network.socket(Host::Near, PORT);
        let _ = TcpStream::connect_timeout(&outside, Duration::from_millis(100));
        let _second = connect(&network).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), network.address(Host::Far));
    }
}

#[test]
fn ports_are_blocked_refused_and_opened_again() {
    let network = Network::new().unwrap();
    let _listener = listener(&network);
    network.block(PORT).unwrap();
    let error = connect(&network).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    network.unblock().unwrap();
    network.refuse(PORT).unwrap();
    let error = connect(&network).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    network.unblock().unwrap();
    connect(&network).unwrap();
}

#[test]
fn connections_are_counted_and_reset() {
    let network = Network::new().unwrap();
    let listener = listener(&network);
    let mut far = connect(&network).unwrap();
    let (mut near, _) = listener.accept().unwrap();
    assert_eq!(network.connections(PORT).unwrap(), 1);
    network.reset(PORT).unwrap();
    let error = far.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(near.write_all(b"x").is_err());
    assert_eq!(network.connections(PORT).unwrap(), 0);
}

#[test]
fn what_goes_over_the_cable_is_counted() {
    let network = Network::new().unwrap();
    let listener = listener(&network);
    let before = network.carried().unwrap();
    let mut far = connect(&network).unwrap();
    let (mut near, _) = listener.accept().unwrap();
    far.write_all(&[0; 20_000]).unwrap();
    near.read_exact(&mut [0; 20_000]).unwrap();
    near.write_all(&[0; 20_000]).unwrap();
    far.read_exact(&mut [0; 20_000]).unwrap();
    let carried = network.carried().unwrap() - before;
    assert!((40_000..60_000).contains(&carried), "{carried}");
}

#[test]
fn a_link_goes_down_and_comes_up_with_its_addresses() {
    for family in [Family::Both, Family::V6Only] {
        let network = Network::with(family).unwrap();
        let _listener = listener(&network);
        connect(&network).unwrap();
        network.set_link(false).unwrap();
        connect(&network).unwrap_err();
        network.set_link(true).unwrap();
        // The neighbour is looked for anew.
        let start = Instant::now();
        while let Err(error) = connect(&network) {
            assert!(start.elapsed() < Duration::from_secs(20), "{error}");
        }
    }
}

#[test]
fn packets_are_small_and_few_where_that_is_asked_for() {
    let network = Network::new().unwrap();
    network.set_mtu(1280).unwrap();
    network.limit(100).unwrap();
    let listener = listener(&network);
    let mut far = connect(&network).unwrap();
    let (mut near, _) = listener.accept().unwrap();
    // Two megabytes of which the burst lets 256 KiB through at once: 140 ms at this rate.
    let start = Instant::now();
    let sending = std::thread::spawn(move || far.write_all(&vec![0; 2 << 20]).unwrap());
    std::io::copy(&mut near, &mut std::io::sink()).unwrap();
    sending.join().unwrap();
    assert!(
        start.elapsed() > Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_relay_delays_keeps_and_freezes() {
    let network = Network::new().unwrap();
    let listener = listener(&network);
    let delay = Duration::from_millis(25);
    let relay = Relay::start(&network, &[PORT], Treatment { delay, keep: true }).unwrap();
    let mut far = dial(&network, network.socket(Host::Far, PORT)).unwrap();
    let (mut near, _) = listener.accept().unwrap();
    let start = Instant::now();
    far.write_all(b"there").unwrap();
    near.read_exact(&mut [0; 5]).unwrap();
    near.write_all(b"and back").unwrap();
    far.read_exact(&mut [0; 8]).unwrap();
    assert!(start.elapsed() >= delay * 2);
    assert!(relay.saw(b"there") && relay.saw(b"and back"));
    relay.freeze();
    far.write_all(b"into the void").unwrap();
    near.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = near.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(!relay.saw(b"into the void"));
}

#[test]
fn what_a_killed_run_left_goes_and_what_lives_stays() {
    let network = Network::new().unwrap();
    // Nobody was started in the first tick after the boot but the first process.
    let dead = format!("{PREFIX}.{}.1.0.near", std::process::id());
    ip(&["netns", "add", &dead]).unwrap();
    let foreign = format!("{PREFIX}-not-ours.{}", std::process::id());
    ip(&["netns", "add", &foreign]).unwrap();
    let other = Network::new().unwrap();
    let exists = |name: &str| Path::new(NAMES).join(name).exists();
    assert!(!exists(&dead));
    assert!(exists(&foreign) && exists(&network.near));
    ip(&["netns", "delete", &foreign]).unwrap();
    let gone = other.near.clone();
    drop(other);
    assert!(!exists(&gone) && exists(&network.far));
}

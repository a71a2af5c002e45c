use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::{DEADLINE, MOST, MOST_PER_ADDRESS, NEWEST, Pending};

fn address(number: usize) -> IpAddr {
    Ipv4Addr::from(number as u32).into()
}

/// Adds a socket; returns who had to go for it.
fn add(pending: &mut Pending, socket: u64, address: IpAddr, now: Instant) -> Option<u64> {
    let victim = pending.too_many(address);
    if let Some(victim) = victim {
        pending.remove(victim);
        assert_eq!(pending.too_many(address), None, "one is enough");
    }
    pending.add(socket, address, now);
    victim
}

#[test]
fn a_socket_has_five_seconds() {
    let start = Instant::now();
    let mut pending = Pending::default();
    assert_eq!(pending.next(start), None);
    pending.add(1, address(1), start);
    assert_eq!(
        pending.next(start + Duration::from_secs(2)),
        Some(DEADLINE - Duration::from_secs(2))
    );
    assert_eq!(pending.expire(start + Duration::from_millis(4999)), None);
    assert_eq!(pending.expire(start + DEADLINE), Some(1));
    assert_eq!(pending.expire(start + DEADLINE), None);
}

#[test]
fn with_too_many_the_oldest_is_closed() {
    let start = Instant::now();
    let mut pending = Pending::default();
    for socket in 0..MOST {
        assert_eq!(
            add(&mut pending, socket as u64, address(socket), start),
            None
        );
    }
    assert_eq!(add(&mut pending, 1000, address(1000), start), Some(0));
    assert_eq!(add(&mut pending, 1001, address(1001), start), Some(1));
}

#[test]
fn one_address_cannot_push_out_another() {
    let start = Instant::now();
    let mut pending = Pending::default();
    pending.add(9999, address(1), start);
    for socket in 0..1000 {
        let evicted = add(&mut pending, socket, address(2), start);
        let expected = socket.checked_sub(MOST_PER_ADDRESS as u64);
        assert_eq!(evicted, expected);
    }
}

#[test]
fn a_socket_that_went_away_makes_room() {
    let start = Instant::now();
    let mut pending = Pending::default();
    for socket in 0..MOST_PER_ADDRESS {
        pending.add(socket as u64, address(1), start);
    }
    pending.remove(5);
    assert_eq!(add(&mut pending, 1000, address(1), start), None);
}

#[test]
fn who_has_said_something_outlasts_a_silent_crowd_of_the_same_address() {
    let start = Instant::now();
    let mut pending = Pending::default();
    pending.add(9999, address(1), start);
    assert!(pending.heard(9999) && !pending.heard(9999));
    for socket in 0..1000 {
        assert_ne!(add(&mut pending, socket, address(1), start), Some(9999));
    }
}

#[test]
fn who_has_said_something_outlasts_silent_crowds_of_other_addresses() {
    let start = Instant::now();
    let mut pending = Pending::default();
    pending.add(9999, address(9999), start);
    pending.heard(9999);
    for socket in 0..1000 {
        let from = address(socket as usize);
        assert_ne!(add(&mut pending, socket, from, start), Some(9999));
    }
}

#[test]
fn of_a_crowd_that_has_said_something_the_oldest_goes() {
    let start = Instant::now();
    let mut pending = Pending::default();
    for socket in 0..200_u64 {
        let expected = socket.checked_sub(MOST_PER_ADDRESS as u64);
        assert_eq!(add(&mut pending, socket, address(1), start), expected);
        pending.heard(socket);
    }
}

#[test]
fn who_comes_into_a_crowd_that_has_said_something_has_time_to_speak() {
    let start = Instant::now();
    let mut pending = Pending::default();
    for socket in 0..MOST_PER_ADDRESS as u64 {
        pending.add(socket, address(1), start);
        pending.heard(socket);
    }
    add(&mut pending, 9999, address(1), start);
    for socket in 1000..1000 + NEWEST as u64 {
        assert_ne!(add(&mut pending, socket, address(1), start), Some(9999));
        pending.heard(socket);
    }
}

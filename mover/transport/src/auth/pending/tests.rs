use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::{DEADLINE, MOST, MOST_PER_ADDRESS, Pending};

fn address(number: usize) -> IpAddr {
    Ipv4Addr::from(number as u32).into()
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
        assert_eq!(pending.add(socket as u64, address(socket), start), None);
    }
    assert_eq!(pending.add(1000, address(1000), start), Some(0));
    assert_eq!(pending.add(1001, address(1001), start), Some(1));
}

#[test]
fn one_address_cannot_push_out_another() {
    let start = Instant::now();
    let mut pending = Pending::default();
    pending.add(9999, address(1), start);
    for socket in 0..1000 {
        let evicted = pending.add(socket, address(2), start);
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
    assert_eq!(pending.add(1000, address(1), start), None);
}

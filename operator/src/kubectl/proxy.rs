//! Which hosts `NO_PROXY` leaves to be reached directly. Pure.
//!
//! The client library takes a proxy from `HTTPS_PROXY` but holds `NO_PROXY` against the proxy, not against the API
//! server, so that it is held against that here, by the rules of kubectl.

use std::net::IpAddr;

/// Returns whether a host and port are reached without a proxy, given the value of `NO_PROXY`.
pub(super) fn is_direct(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let host = host.to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    // A proxy cannot reach the machine of whoever calls it.
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let entries = no_proxy.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .any(|entry| matches(&entry.to_ascii_lowercase(), &host, address, port))
}

/// Returns whether one entry of the list means the host: `*`, an address, a network, a domain with all below it,
/// `.domain` or `*.domain` for those below it alone; each but a network may end with a port.
fn matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let network = network.parse().ok().zip(bits.parse().ok());
        return network
            .zip(address)
            .is_some_and(|((network, bits), address)| contains(network, bits, address));
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Some(address) = address {
        return name.trim_matches(['[', ']']).parse() == Ok(address);
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some(domain) => is_below(host, domain),
        None => host == name || is_below(host, name),
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|head| head.ends_with('.'))
}

/// Splits the port off an entry. An IPv6 address has colons of its own unless it is in brackets.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        None => (entry, None),
    }
}

/// Returns whether an address is in a network whose first `bits` bits count.
fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => (
            u128::from(network.to_bits()),
            u128::from(address.to_bits()),
            32,
        ),
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let Some(rest) = u32::checked_sub(width, bits) else {
        return false;
    };
    // Shifting out all bits leaves nothing that could differ.
    network.checked_shr(rest) == address.checked_shr(rest)
}

#[cfg(test)]
mod tests;

//! Over which data plane content goes to a daemon on another host and from it, where the data port does not let it through.

use blit_e2e::oracle;

use crate::blit::{events, summary, wait_for_bytes};
use crate::machine;
use crate::serve_networks::Hosts;

#[test]
fn where_the_data_port_of_a_daemon_is_blocked_data_travels_inside_grpc_and_says_why() {
    let _shared = machine::shared();
    let hosts = Hosts::new(200, 200 << 20);
    hosts.network.block(hosts.data).unwrap();
    let pushed = hosts.push().finish().unwrap();
    pushed.expect_code(0);
    let events = events(&pushed);
    let fallbacks = events.iter().filter(|event| event["type"] == "fallback");
    let fallbacks: Vec<_> = fallbacks.collect();
    assert_eq!(fallbacks.len(), 1, "{fallbacks:?}");
    let reason = fallbacks[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    let summary = summary(&pushed);
    assert_eq!(summary["transport"], "GRPC", "{summary}");
    assert!(pushed.stderr().contains("TCP cannot be used"));
    oracle::assert_mirrored(&hosts.source(), &hosts.destination());
}

#[test]
fn where_the_data_port_is_blocked_a_pull_gets_its_data_inside_grpc_unless_that_is_denied() {
    let _shared = machine::shared();
    // Longer than TCP is tried.
    let hosts = Hosts::new(200, 200 << 20);
    hosts.prepare_pull();
    hosts.network.refuse(hosts.data).unwrap();
    let denied = hosts.pull(&["--no-fallback"]).finish().unwrap();
    denied.expect_code(30);
    assert!(denied.stderr().contains(&hosts.data.to_string()));
    hosts.network.unblock().unwrap();
    // Not refused: nothing comes back at all.
    hosts.network.block(hosts.data).unwrap();
    let pulled = hosts.pull(&["--verify"]).finish().unwrap();
    pulled.expect_code(0);
    let events = events(&pulled);
    let fallbacks = events.iter().filter(|event| event["type"] == "fallback");
    let fallbacks: Vec<_> = fallbacks.collect();
    assert_eq!(fallbacks.len(), 1, "{fallbacks:?}");
    let reason = fallbacks[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    let summary = summary(&pulled);
    assert_eq!(summary["transport"], "GRPC", "{summary}");
    assert_eq!(summary["verification"]["mismatches"], 0, "{summary}");
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
}

#[test]
fn a_data_port_that_swallows_a_pull_in_mid_file_is_left_for_grpc() {
    let _shared = machine::shared();
    let hosts = Hosts::new(200, 200 << 20);
    hosts.prepare_pull();
    let pull = hosts.pull(&[]);
    wait_for_bytes(&pull, &hosts.pulled(), 10 << 20);
    hosts.network.block(hosts.data).unwrap();
    let pulled = pull.finish().unwrap();
    pulled.expect_code(0);
    oracle::assert_mirrored(&hosts.source(), &hosts.pulled());
    let events = events(&pulled);
    let fallback = events.iter().find(|event| event["type"] == "fallback");
    let reason = fallback.unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains(&hosts.data.to_string()), "{reason}");
    assert_eq!(summary(&pulled)["transport"], "GRPC");
}

#[test]
fn the_first_byte_of_a_pull_does_not_wait_for_a_data_port_that_swallows_everything() {
    let _shared = machine::shared();
    let hosts = Hosts::new(800, 9 << 20);
    hosts.prepare_pull();
    hosts.network.block(hosts.data).unwrap();
    let pulled = hosts.pull(&[]).finish().unwrap();
    pulled.expect_code(0);
    let summary = summary(&pulled);
    // One dial takes five seconds there.
    let seconds = summary["secondsToFirstByte"].as_f64().unwrap();
    assert!(seconds < 4.5, "{summary}");
    assert_eq!(summary["transport"], "GRPC", "{summary}");
    // Though it is over before TCP is given up.
    let tried = summary["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 1, "{summary}");
    let reason = tried[0]["reason"].as_str().unwrap();
    assert!(reason.contains(&format!(":{}", hosts.data)), "{reason}");
    oracle::assert_mirrored(&hosts.destination(), &hosts.pulled());
}

#[test]
fn data_of_a_pull_moves_from_grpc_to_tcp_when_the_port_opens() {
    let _shared = machine::shared();
    let hosts = Hosts::new(400, 320 << 20);
    hosts.prepare_pull();
    hosts.network.block(hosts.data).unwrap();
    let pull = hosts.pull(&[]);
    wait_for_bytes(&pull, &hosts.pulled(), 8 << 20);
    hosts.network.unblock().unwrap();
    let pulled = pull.finish().unwrap();
    pulled.expect_code(0);
    let told = summary(&pulled);
    assert_eq!(told["transport"], "TCP", "{told}");
    let share = told["zeroCopyShare"].as_f64().unwrap();
    assert!(share > 0.0 && share < 1.0, "{told}");
    // The streams inside gRPC ended in good order: nothing came twice.
    let figure = |name: &str| told[name].as_u64().unwrap();
    assert!(
        figure("bytesSent") <= figure("bytesCopied") + (1 << 20),
        "{told}"
    );
    oracle::assert_mirrored(&hosts.destination(), &hosts.pulled());
}

//! Sessions with one data stream from beginning to end, and with many, whoever has the source and however content travels.
//! A session begins with two unless a switch of debug builds says otherwise.

use blit_e2e::network::Network;
use blit_e2e::process::Finished;
use blit_e2e::{oracle, tree};

use crate::blit::{summary, wait_for_bytes};
use crate::large_files::{ENCRYPTED, FORCED, MIB, TCP, alter};
use crate::machine;
use crate::serve_networks::{Hosts, Way};

/// With how many streams both ends begin.
const BEGIN_WITH: &str = "BLIT_TEST_STREAMS";

/// Returns the numbers of the streams that were open, each over this plane.
#[track_caller]
fn opened(finished: &Finished, plane: &str) -> Vec<usize> {
    let said = finished.stderr();
    let open = said.split("a data stream is open stream=").skip(1);
    let mut numbers: Vec<usize> = open
        .map(|rest| {
            let line = rest.lines().next().unwrap();
            let (number, over) = line.split_once(" plane=").unwrap();
            assert_eq!(over, plane, "{said}");
            number.parse().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Sessions that copy everything, and then one block of a large file, have so many streams.
fn have_streams(count: usize) {
    let told = count.to_string();
    let variables = [(BEGIN_WITH, &*told), ("RUST_LOG", "blit_transport=debug")];
    for way in [Way::Push, Way::Pull] {
        for (options, plane) in [(TCP, "TCP"), (ENCRYPTED, "TCP"), (FORCED, "GRPC")] {
            let network = Network::new().unwrap();
            network.limit(400).unwrap();
            let hosts = Hosts::with(network, 96 * MIB, &variables[..1]);
            let everything = hosts.source().join("everything");
            tree::build(&tree::every_kind(), &everything).unwrap();
            let (source, destination) = hosts.prepare(way);
            let run = || {
                let finished = hosts.go_with(way, options, &variables).finish().unwrap();
                finished.expect_code(0);
                oracle::assert_mirrored(&source, &destination);
                finished
            };
            let all: Vec<usize> = (0..count).collect();
            let what = format!("{way:?} {options:?}");
            assert_eq!(opened(&run(), plane), all, "{what}");
            alter(&source.join("large"), 70 * MIB + 1, 1);
            let changed = run();
            // It may be over before the last of many is open.
            assert_eq!(opened(&changed, plane).first(), Some(&0), "{what}");
            assert!(opened(&changed, plane).len() <= count, "{what}");
            let sent = summary(&changed)["bytesSent"].as_u64().unwrap();
            assert!((64 << 10..MIB).contains(&sent), "{what}: {sent} bytes");
        }
    }
}

#[test]
fn one_stream_is_enough_for_a_push_and_a_pull_however_content_travels() {
    let _shared = machine::shared();
    have_streams(1);
}

#[test]
fn many_streams_carry_a_push_and_a_pull_however_content_travels() {
    let _shared = machine::shared();
    have_streams(8);
}

#[test]
fn the_only_stream_of_a_session_is_replaced_when_it_is_reset_in_mid_file() {
    let _shared = machine::shared();
    let variables = [(BEGIN_WITH, "1")];
    for way in [Way::Push, Way::Pull] {
        let network = Network::new().unwrap();
        network.limit(400).unwrap();
        let hosts = Hosts::with(network, 100 * MIB, &variables);
        let (source, destination) = hosts.prepare(way);
        let client = hosts.go_with(way, &["--no-fallback"], &variables);
        for bytes in [10 * MIB, 40 * MIB] {
            wait_for_bytes(&client, &destination, bytes);
            let open = || hosts.network.connections(hosts.data).unwrap();
            assert!(client.wait_until("open a socket", || open() > 0).unwrap());
            assert_eq!(open(), 1, "{way:?}");
            hosts.network.reset(hosts.data).unwrap();
        }
        let finished = client.finish().unwrap();
        finished.expect_code(0);
        oracle::assert_mirrored(&source, &destination);
        let told = summary(&finished);
        let figure = |name: &str| told[name].as_u64().unwrap();
        // Who sends counts what was in its socket and never came; who receives is told of nothing twice.
        let in_sockets = if way == Way::Push { 16 * MIB } else { MIB };
        let most = figure("bytesCopied") + in_sockets;
        assert!(figure("bytesSent") <= most, "{way:?}: {told}");
    }
}

//! How content travels between the nodes: what can be read of it on the way, and what becomes of a job whose data port is
//! blocked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::chown;
use std::path::Path;

use blit_e2e::cluster::{
    Job, Namespace, Node, Result, Rules, Status, Stream, Volume, many, plugin, with_temp_ns,
};
use blit_e2e::oracle::assert_mirrored;
use serde_json::json;

use crate::common::{CONTROL, DATA, USER, address_of, mirror, slow};

/// What nobody on the way is to read: the content of files, again and again.
const SECRET: &[u8] = b"the crown jewels are under the third stone. ";

/// The name of a file, which nobody ever reads on the way.
const NAME: &str = "where-the-crown-jewels-are";

/// How often a large file says it: 8 MiB.
const REPEATED: usize = (8 << 20) / SECRET.len();

#[test]
fn content_can_be_read_between_the_nodes_unless_all_is_encrypted() {
    with_temp_ns("transport-encrypted", async |ns| {
        let from = ns.volume("from", Node::A).create().await?;
        secrets(&from.path);
        let (clear, seen) = on_the_way(&ns, &from, "clear", "ControlPlane").await?;
        // Else the next would prove nothing.
        assert!(count(&seen, SECRET) > REPEATED / 2, "{clear:#?}");
        assert_eq!(
            count(&seen, NAME.as_bytes()),
            0,
            "names are encrypted in any case"
        );
        assert_eq!(
            clear.at("/status/transport/zeroCopy"),
            Some(&json!(true)),
            "{clear:#?}"
        );
        let (encrypted, seen) = on_the_way(&ns, &from, "encrypted", "All").await?;
        assert_eq!(count(&seen, SECRET), 0, "{encrypted:#?}");
        assert_eq!(count(&seen, NAME.as_bytes()), 0);
        // What TLS makes of it passes through memory, unless the kernel makes it.
        let by_kernel = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_ulp").unwrap();
        let by_kernel = by_kernel.split_whitespace().any(|name| name == "tls");
        let zero_copy = encrypted.at("/status/transport/zeroCopy");
        assert_eq!(zero_copy, Some(&json!(by_kernel)), "{encrypted:#?}");
        Ok(())
    });
}

#[test]
fn where_the_data_port_is_blocked_content_travels_inside_grpc_and_the_job_says_why() {
    with_temp_ns("transport-fallback", async |ns| {
        let (job, from, to, block) = blocked(&ns, "").await?;
        let heard = job
            .until("name the plane that it gave up", |status| {
                !status.list("/status/transport/tried").is_empty()
            })
            .await?;
        assert_eq!(
            heard.text("/status/transport/selected"),
            "GRPC",
            "{heard:#?}"
        );
        let status = job.complete().await?;
        assert_mirrored(&from.path, &to.path);
        // To the end: nothing went past the block.
        block.lift();
        assert_eq!(status.attempts(), ["Complete"]);
        assert_eq!(
            status.text("/status/transport/selected"),
            "GRPC",
            "{status:#?}"
        );
        assert_eq!(
            status.at("/status/transport/zeroCopy"),
            Some(&json!(false)),
            "{status:#?}"
        );
        names_the_port(&status);
        ns.event(
            "copy",
            "Warning TransportFallback",
            &["TCP cannot be used", "GRPC"],
        )
        .await?;
        let said = plugin(&ns.cluster.env, &["explain", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        for word in ["TCP was given up", &DATA.to_string(), "travels by GRPC"] {
            assert!(said.contains(word), "no {word} in\n{said}");
        }
        Ok(())
    });
}

#[test]
fn a_job_that_may_not_fall_back_fails_at_once_and_says_what_helps() {
    with_temp_ns("transport-denied", async |ns| {
        let (job, _, _, block) = blocked(&ns, "transport: {fallback: Deny}\n").await?;
        let status = job.failed("TransportUnavailable").await?;
        assert_eq!(
            status.attempts(),
            ["TransportUnavailable"],
            "nothing is tried again"
        );
        assert_eq!(status.number("/status/attemptsTotal"), Some(1));
        assert_eq!(status.number("/status/failure/exitCode"), Some(30));
        let message = status.text("/status/failure/message");
        for word in [&format!(":{DATA}"), "no answer", "allow TCP to this port"] {
            assert!(message.contains(word), "no {word} in {message}");
        }
        names_the_port(&status);
        let said = plugin(&ns.cluster.env, &["explain", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        for word in ["TransportUnavailable", "allow fallback", &DATA.to_string()] {
            assert!(said.contains(word), "no {word} in\n{said}");
        }
        assert!(
            !said.contains("was given up"),
            "nothing is used instead:\n{said}"
        );
        // The remedy is one.
        block.lift();
        plugin(&ns.cluster.env, &["retry", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        let again = plugin(
            &ns.cluster.env,
            &["status", "copy-r1", "--wait", "-n", &ns.name],
        )
        .await?;
        assert_eq!(again.code, Some(0), "{}", again.both());
        Ok(())
    });
}

/// Runs a job that encrypts so much, and returns what it says in the end and what its movers said to each other.
async fn on_the_way(
    ns: &Namespace,
    from: &Volume,
    name: &str,
    encryption: &str,
) -> Result<(Status, Vec<Stream>)> {
    let to = ns.volume(name, Node::B).create().await?;
    let capture = Node::B.capture(&ns.cluster.env, &[CONTROL, DATA])?;
    // TCP or nothing: inside gRPC all is encrypted, and on a busy machine content can begin there.
    let transport = format!("transport: {{encryption: {encryption}, fallback: Deny}}\n");
    let job = ns.job(name, &(mirror("from", name) + &transport)).await?;
    let address: Ipv4Addr = address_of(ns, name, "destination").await?.parse().unwrap();
    let status = job.complete().await?;
    assert_mirrored(&from.path, &to.path);
    assert_eq!(
        status.text("/status/transport/encryption"),
        encryption,
        "{status:#?}"
    );
    assert_eq!(
        status.text("/status/transport/selected"),
        "TCP",
        "{status:#?}"
    );
    assert!(
        status.list("/status/transport/tried").is_empty(),
        "{status:#?}"
    );
    let mut seen = capture.end()?;
    seen.retain(|stream| {
        [stream.from, stream.to]
            .iter()
            .any(|end| *end.ip() == address)
    });
    let data = seen
        .iter()
        .filter(|stream| stream.to == SocketAddrV4::new(address, DATA));
    let data: Vec<&Stream> = data.collect();
    let bytes: usize = data.iter().map(|stream| stream.bytes.len()).sum();
    assert!(
        bytes >= REPEATED * SECRET.len(),
        "{bytes} bytes of content were seen"
    );
    // What was not seen proves nothing.
    assert!(
        data.iter().all(|stream| stream.whole),
        "packets were missed"
    );
    assert!(
        seen.iter()
            .any(|stream| stream.to.port() == CONTROL && !stream.bytes.is_empty())
    );
    Ok((status, seen))
}

/// Makes files that nobody on the way is to read.
fn secrets(directory: &Path) {
    let small = (0..20).map(|n| (format!("small-{n}"), 3));
    for (name, times) in small.chain([(NAME.to_owned(), REPEATED)]) {
        let path = directory.join(name);
        fs::write(&path, SECRET.repeat(times)).unwrap();
        chown(&path, Some(USER), Some(USER)).unwrap();
    }
}

/// How often these words are in what was said.
fn count(said: &[Stream], words: &[u8]) -> usize {
    let in_one = |stream: &Stream| {
        let windows = stream.bytes.windows(words.len());
        windows.filter(|window| *window == words).count()
    };
    said.iter().map(in_one).sum()
}

/// Starts a job called `copy`, with these further lines, whose data port swallows everything; inside gRPC it is so slow that TCP
/// is given up before all has gone that way.
async fn blocked(ns: &Namespace, spec: &str) -> Result<(Job, Volume, Volume, Rules)> {
    let from = ns.volume("from", Node::A).create().await?;
    let to = ns.volume("to", Node::B).create().await?;
    many(&from.path, 200, 100 << 10, USER)?;
    let job = ns.job("copy", &(mirror("from", "to") + spec)).await?;
    let address = address_of(ns, "copy", "destination").await?;
    let block = format!("ip daddr {address} tcp dport {DATA} drop");
    let rules = Node::B.forward(&ns.cluster.env, &[block, slow(&address, CONTROL)])?;
    Ok((job, from, to, rules))
}

/// Panics unless the status names the port as what could not be used.
#[track_caller]
fn names_the_port(status: &Status) {
    let [tried] = status.list("/status/transport/tried") else {
        panic!("not one plane was tried: {status:#?}");
    };
    assert_eq!(tried["kind"], "TCP");
    let reason = tried["reason"].as_str().unwrap();
    assert!(reason.contains(&format!(":{DATA}")), "{reason}");
}

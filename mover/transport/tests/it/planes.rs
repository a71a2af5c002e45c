//! What holds for one data plane holds for all: the same cases, judged by the same oracle.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::tree::Content;
use blit_e2e::{oracle, tree};
use blit_proto::pki::Role;
use blit_proto::v2::PushHeader;
use blit_proto::v2::client_push_request::Message as Request;
use blit_transport::data::kernel_tls;
use blit_transport::planes::PlanePolicy;
use blit_transport::source::{PushConfig, push};

use crate::fake::{FakeSource, block_on, header};
use crate::harness::{Attempt, mirror_over, receive};

/// TCP with TLS on its sockets.
const ENCRYPTED: PlanePolicy = PlanePolicy {
    encrypt: true,
    ..PlanePolicy::TCP
};

/// How it is planned, its name, and whether it sends content without a copy.
type Plane = (PlanePolicy, &'static str, fn() -> bool);

const PLANES: [Plane; 3] = [
    (PlanePolicy::TCP, "TCP", || true),
    (PlanePolicy::GRPC, "GRPC", || false),
    // Inside TLS only a kernel sends without a copy.
    (ENCRYPTED, "TCP", || kernel_tls::probe().is_ok()),
];

/// Mirrors a tree over every plane, and once more when nothing has changed.
fn holds(make: impl Fn(&Path)) {
    for (policy, name, _) in PLANES {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (source, destination) = (area.join("source"), area.join("destination"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&destination).unwrap();
        make(&source);
        for _ in 0..2 {
            let ended = mirror_over(policy, &source, &destination);
            assert!(ended.summary.is_complete(), "{name}: {:?}", ended.summary);
            let sent = ended.source.unwrap();
            // Also of a run that needs nothing, which may be over before a stream is open.
            assert_eq!(sent.summary.transport, name);
            assert_eq!(ended.figures.transport, name);
            oracle::assert_mirrored(&source, &destination);
        }
    }
}

#[test]
fn one_of_everything() {
    holds(|source| {
        fs::remove_dir(source).unwrap();
        tree::build(&tree::every_kind(), source).unwrap();
    });
}

#[test]
fn a_file_without_content() {
    holds(|source| fs::write(source.join("empty"), "").unwrap());
}

#[test]
fn many_small_files_in_many_directories() {
    holds(|source| {
        for n in 0..3000 {
            let folder = source.join(format!("d{}", n / 100));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("f{n}")), vec![n as u8; n * 3]).unwrap();
        }
    });
}

#[test]
fn large_files_with_holes_and_without() {
    holds(|source| {
        let full = fs::File::create(source.join("full")).unwrap();
        Content::full(40 << 20, 1).write(&full).unwrap();
        let sparse = fs::File::create(source.join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        for n in 0..5_u64 {
            sparse.write_all_at(&[7; 100_000], n * 200_000_000).unwrap();
        }
    });
}

#[test]
fn content_goes_without_a_copy_where_the_plane_can() {
    for (policy, name, without_a_copy) in PLANES {
        let area = Area::on(FileSystem::Ext4).unwrap();
        let (source, destination) = (area.join("source"), area.join("destination"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&destination).unwrap();
        let file = fs::File::create(source.join("large")).unwrap();
        Content::full(32 << 20, 1).write(&file).unwrap();
        let ended = mirror_over(policy, &source, &destination);
        let sent = ended.source.unwrap();
        assert_eq!(sent.bytes_sent, 32 << 20, "{name}");
        let share = match without_a_copy() {
            true => 0.95..=1.0,
            false => 0.0..=0.0,
        };
        let measured = sent.summary.zero_copy_share;
        assert!(share.contains(&measured), "{name}: {measured}");
    }
}

#[test]
fn a_run_that_needs_no_content_names_the_plane_that_its_content_would_have_taken() {
    for (plane, name) in [
        ("GRPC", "GRPC"),
        ("TCP", "TCP"),
        ("", "TCP"),
        ("RDMA", "TCP"),
    ] {
        let attempt = Attempt::new();
        let destination = attempt.destination();
        let (address, identity) = (
            destination.addresses().control,
            attempt.identity(Role::Source),
        );
        let first = Request::Header(PushHeader {
            data_plane: plane.to_owned(),
            ..header()
        });
        // No stream is ever opened.
        let saying = thread::spawn(move || {
            block_on(async {
                let mut source = FakeSource::open(address, &identity, first).await.unwrap();
                source.refused().await
            })
        });
        let session = destination.accept(Duration::from_secs(10)).unwrap();
        assert_eq!(session.figures().transport, name, "{plane}");
        drop(session);
        saying.join().unwrap();
    }
}

#[test]
fn a_run_that_is_over_before_tcp_is_given_up_says_why_it_went_inside_grpc() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&destination).unwrap();
    fs::write(source.join("f"), "content").unwrap();
    let attempt = Attempt::new();
    let listening = attempt.destination();
    // At this address nobody listens for data.
    let addresses = listening.addresses();
    let (through, _) = passing_on_from("127.0.0.2:0", addresses.control, 0, 0);
    let config = PushConfig {
        connect: through.to_string(),
        ..attempt.push_config(&listening, &source)
    };
    let pushing = thread::spawn(move || push(config));
    let (summary, _) = receive(&listening, &destination);
    assert!(summary.is_complete(), "{summary:?}");
    let told = pushing.join().unwrap().unwrap().summary;
    assert_eq!(told.transport, "GRPC");
    let [tried] = told.tried.as_slice() else {
        panic!("{:?}", told.tried)
    };
    assert_eq!(tried.kind, "TCP");
    let address = format!("127.0.0.2:{}", addresses.data.port());
    assert!(tried.reason.contains(&address), "{}", tried.reason);
}

/// Passes connections on to a port; those after the first, which is that of control, break off after so many bytes,
/// as often as `breaks` says. Returns where it listens, and how many it has broken.
fn passing_on(to: SocketAddr, bytes: usize, breaks: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    passing_on_from("127.0.0.1:0", to, bytes, breaks)
}

/// As [`passing_on`], from another address.
fn passing_on_from(
    from: &str,
    to: SocketAddr,
    bytes: usize,
    breaks: usize,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(from).unwrap();
    let (here, broken) = (
        listener.local_addr().unwrap(),
        Arc::<AtomicUsize>::default(),
    );
    let counted = Arc::clone(&broken);
    thread::spawn(move || {
        for (number, near) in listener.incoming().enumerate() {
            let (near, far) = (near.unwrap(), TcpStream::connect(to).unwrap());
            let limit = match (1..=breaks).contains(&number) {
                true => bytes,
                false => usize::MAX,
            };
            let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || pass(back, forth, usize::MAX));
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                if pass(near, far, limit) {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (here, broken)
}

/// Passes bytes on until one end has gone, or so many have. Returns true for the latter.
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: usize) -> bool {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let most = buffer.len().min(left);
        match from.read(&mut buffer[..most]) {
            Ok(count) if count > 0 && to.write_all(&buffer[..count]).is_ok() => left -= count,
            _ => {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return left == 0;
            }
        }
    }
}

#[test]
fn streams_inside_grpc_that_break_while_control_goes_on_are_replaced() {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&destination).unwrap();
    let file = fs::File::create(source.join("large")).unwrap();
    Content::full(40 << 20, 1).write(&file).unwrap();
    for n in 0..500 {
        fs::write(source.join(format!("small{n}")), vec![n as u8; n * 50]).unwrap();
    }
    let attempt = Attempt::new();
    let listening = attempt.destination();
    let (through, broken) = passing_on(listening.addresses().control, 5 << 20, 2);
    let config = PushConfig {
        connect: through.to_string(),
        planes: PlanePolicy::GRPC,
        ..attempt.push_config(&listening, &source)
    };
    let pushing = thread::spawn(move || push(config));
    let (summary, figures) = receive(&listening, &destination);
    let pushed = pushing.join().unwrap();
    assert!(summary.is_complete(), "{summary:?} {pushed:?}");
    assert_eq!(pushed.unwrap().summary.transport, "GRPC");
    assert!(broken.load(Ordering::SeqCst) > 0, "nothing broke");
    assert!(figures.streams > 2, "{figures:?}");
    oracle::assert_mirrored(&source, &destination);
}

//! Peers that stop at some step and stay: whoever waits for them ends when the time for that step is over, and says what it
//! waited for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use blit_engine::fs::Dir;
use blit_engine::run::{Cancel, Job, RunIdentity, SourceError, run};
use blit_proto::control::{Connection, connect_as};
use blit_proto::pki::Role;
use blit_proto::v2::client_push_request::Message as Said;
use blit_proto::v2::server_push_response::Message as Response;
use blit_proto::v2::{DataTransferNegotiation, PingRequest, PullChunk, SourceState};
use blit_transport::destination::RunResult;
use blit_transport::planes::PlanePolicy;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::door::{frame, served, stranger};
use crate::fake::{FakeSource, block_on_within, dial, header, part};
use crate::harness::Attempt;
use crate::lying_destination::{negotiation, push_over, token};
use crate::lying_giver::{negotiated, pull_over, said};
use crate::lying_source::{complete, unguarded};
use crate::pull::{self, FakeDestination, giving};
use crate::served::Served;

/// How much later than its deadline something may end, on a machine that is busy.
const LATE: Duration = Duration::from_secs(5);

/// Longer than every deadline: who has not reacted by then never does.
const LIMIT: Duration = Duration::from_secs(38);

/// How long somebody waited for the peer that stalled, and what it said then.
type Ended = (Duration, String);

/// The beginning of a record of TLS that announces a `ClientHello` of 508 bytes.
const CUT_HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// A step at which peers stall, how many seconds that is put up with, words that name the step, and who stalls there.
type Step = (&'static str, u64, &'static str, fn() -> Ended);

/// Where all that there is to see is that the connection is closed.
const CLOSED: &str = "closed";

const STEPS: &[Step] = &[
    ("the header of a push", 10, "no header came", || {
        let served = served(LIMIT);
        opens_and_says_nothing(client(&served), async |connection, silence| {
            connection.client().push(silence).await.map(drop)
        })
    }),
    ("the header of a pull", 10, "no header came", || {
        let served = served(LIMIT);
        opens_and_says_nothing(client(&served), async |connection, silence| {
            connection.client().pull(silence).await.map(drop)
        })
    }),
    (
        "the header of a mover",
        10,
        "no header came",
        a_source_without_a_header,
    ),
    ("the first data socket of a push", 30, DATA, || {
        a_source_without_data()
    }),
    ("the first data socket of a pull", 30, DATA, || {
        let from = tempfile::tempdir().unwrap();
        let served = giving(from.path());
        block_on_within(LIMIT, async {
            let start = Instant::now();
            let mut fake = FakeDestination::open(&served, pull::header())
                .await
                .unwrap();
            let reason = fake.reason().await;
            (start.elapsed(), reason)
        })
    }),
    (
        "the end of a session",
        10,
        "",
        a_source_that_stays_after_the_summary,
    ),
    ("a word before the handshake of control", 5, CLOSED, || {
        says(served(LIMIT).address(), b"")
    }),
    ("the handshake of control", 5, CLOSED, || {
        let served = served(LIMIT);
        says(served.address(), CUT_HELLO)
    }),
    ("a token", 15, CLOSED, a_stranger_who_proves_nothing),
    ("the first frame of a data socket", 5, CLOSED, || {
        let served = served(LIMIT);
        says(served.daemon.addresses().data, b"BLITDP2\0")
    }),
    ("the handshake of a data socket", 5, CLOSED, || {
        let served = served(LIMIT);
        says(served.daemon.addresses().data, CUT_HELLO)
    }),
    (
        "the first frame of a data stream inside gRPC",
        5,
        "no first frame came",
        || {
            let served = served(LIMIT);
            opens_and_says_nothing(client(&served), async |connection, silence| {
                connection.client().data(silence).await.map(drop)
            })
        },
    ),
    (
        "the negotiation of a push",
        30,
        "answer to the header",
        || pushes(PlanePolicy::ANY, None, vec![]),
    ),
    (
        "the negotiation of a push with a progress deadline",
        12,
        "answer to its header",
        || pushes(PlanePolicy::ANY, Some(Duration::from_secs(12)), vec![]),
    ),
    (
        "the negotiation of a pull",
        30,
        "answer to the header",
        || pulls(PlanePolicy::ANY, |_| vec![]),
    ),
    ("the answer of a data port", 6, SILENCE, || {
        pushes_to_a_silent_port(PlanePolicy::TCP)
    }),
    ("the handshake of a data port", 6, SILENCE, || {
        pushes_to_a_silent_port(PlanePolicy {
            encrypt: true,
            ..PlanePolicy::TCP
        })
    }),
    ("the answer of a data port to a pull", 3, SILENCE, || {
        pulls(PlanePolicy::TCP, |port| {
            vec![negotiated(negotiation(port)), said(Said::Header(header()))]
        })
    }),
    // Nothing comes inside gRPC either. By then it is known that the port does not answer: that takes 6 s.
    (
        "a data port that answers a pull byte by byte",
        8,
        "did not answer",
        || pulls_from_a_dripping_port(PlanePolicy::ANY),
    ),
    (
        "a data port that shakes hands byte by byte",
        8,
        "did not answer",
        || {
            pulls_from_a_dripping_port(PlanePolicy {
                encrypt: true,
                ..PlanePolicy::ANY
            })
        },
    ),
    // 15 s in which it says nothing, and 10 s of standing still; these begin up to a look of half a second earlier, and the clock with
    // the connection, which may take a while.
    (
        "a listing, of a source that never says what it does",
        23,
        "waited for the listing of the source; the source waited for something that it does not tell",
        || a_source_that_owes(vec![]),
    ),
    (
        "names again, of a source that never says what it does",
        23,
        "waited for the source to list a directory again; the source waited for something that it does not tell",
        || a_source_that_owes(vec![part(0, 0, vec![], Some(0)), complete(1, 0)]),
    ),
    (
        "the answer to a data stream inside gRPC",
        8,
        "no answer to a data stream",
        || {
            pulls(PlanePolicy::GRPC, |port| {
                vec![negotiated(replacing(port)), said(Said::Header(header()))]
            })
        },
    ),
];

/// What is said of a data port that swallows everything. A push ends 3 s later than that, while its peer, which stalls, may close
/// the session and the threads that dial may end.
const SILENCE: &str = "no answer within 3 s";

/// What a session without data says.
const DATA: &str = "opened no data connection; check that it can reach the data port";

#[test]
fn whoever_waits_for_a_peer_that_stalls_ends_in_time_and_says_what_it_waited_for() {
    let begun: Vec<_> = STEPS
        .iter()
        .map(|step| (step, std::thread::spawn(step.3)))
        .collect();
    let wrong: Vec<String> = begun
        .into_iter()
        .filter_map(|(&(step, seconds, words, _), ending)| {
            let deadline = Duration::from_secs(seconds);
            match ending.join() {
                Ok((took, told)) => {
                    let in_time = (deadline..deadline + LATE).contains(&took);
                    let right = in_time && told.contains(words);
                    (!right).then(|| format!("{step}: after {took:?}, not {deadline:?}: {told}"))
                }
                Err(_) => Some(format!("{step}: see the panic above")),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Connects as a client of a daemon.
async fn client_of(served: &Served) -> Connection {
    let address = served.address().to_string();
    connect_as(&address, &served.access()).await.unwrap()
}

/// Who connects as a client of a daemon.
fn client(served: &Served) -> impl AsyncFnOnce() -> Connection {
    async || client_of(served).await
}

/// Opens a call on which nothing is ever said; returns what it is answered.
fn opens_and_says_nothing<T: Send + 'static>(
    connect: impl AsyncFnOnce() -> Connection,
    call: impl AsyncFnOnce(&Connection, ReceiverStream<T>) -> Result<(), Status>,
) -> Ended {
    block_on_within(LIMIT, async {
        let connection = connect().await;
        let (held, silence) = mpsc::channel(1);
        let start = Instant::now();
        let status = call(&connection, ReceiverStream::new(silence)).await;
        let took = start.elapsed();
        drop(held);
        (took, status.unwrap_err().to_string())
    })
}

/// The session of the mover is there for the next one.
fn a_source_without_a_header() -> Ended {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let connect = async || dial(address, &identity).await;
    let ended = opens_and_says_nothing(connect, async |connection, silence| {
        connection.client().push(silence).await.map(drop)
    });
    let first = Said::Header(header());
    let next = block_on_within(LIMIT, FakeSource::open(address, &identity, first));
    assert!(next.is_ok(), "the session is still taken");
    ended
}

/// Both ends of the session learn it.
fn a_source_without_data() -> Ended {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let ended = block_on_within(LIMIT, async {
        let start = Instant::now();
        let first = Said::Header(header());
        let mut source = FakeSource::open(address, &identity, first).await.unwrap();
        let status = source.refused().await;
        (start.elapsed(), status.to_string())
    });
    let session = destination.accept(LATE).unwrap();
    let lost = session.lost();
    assert!(
        matches!(&lost, Some(SourceError::Lost(reason)) if reason.contains(DATA)),
        "{lost:?}"
    );
    ended
}

/// It has the result already, so nobody is told; the run ends all the same.
fn a_source_that_stays_after_the_summary() -> Ended {
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    block_on_within(LIMIT, async {
        let first = Said::Header(header());
        let source = FakeSource::open(address, &identity, first).await.unwrap();
        let finishing = tokio::task::spawn_blocking(move || {
            let session = destination.accept(LATE).unwrap();
            let start = Instant::now();
            session.finish(RunResult::default());
            start.elapsed()
        });
        let took = finishing.await.unwrap();
        drop(source);
        (took, String::new())
    })
}

/// Runs a mirror from a source that says these messages and no more. It answers what keeps a connection, and says that it is busy,
/// and never with what.
fn a_source_that_owes(messages: Vec<Said>) -> Ended {
    let to = tempfile::tempdir().unwrap();
    std::fs::write(to.path().join("extraneous"), "").unwrap();
    let attempt = Attempt::new();
    let destination = attempt.destination();
    let address = destination.addresses().control;
    let identity = attempt.identity(Role::Source);
    let owing = std::thread::spawn(move || {
        block_on_within(LIMIT, async {
            let first = Said::Header(header());
            let mut source = FakeSource::open(address, &identity, first).await.unwrap();
            for message in messages {
                source.send(message).await;
            }
            let mut client = source.connection.client();
            let busy = async {
                loop {
                    let request = PingRequest {
                        source: Some(SourceState {
                            busy: true,
                            ..SourceState::default()
                        }),
                        ..PingRequest::default()
                    };
                    client.ping(request).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            };
            tokio::select! {
                status = source.refused() => status,
                () = busy => unreachable!("it is pinged without end"),
            }
        })
    });
    let session = destination.accept(LATE).unwrap();
    let job = Job {
        destination: Dir::open_root(to.path()).unwrap(),
        listing: session.listing(),
        content: session.content(),
        options: unguarded(),
        identity: RunIdentity::default(),
    };
    let start = Instant::now();
    let summary = run(job, Arc::new(()), Cancel::new());
    let took = start.elapsed();
    drop(session);
    owing.join().unwrap();
    assert!(to.path().join("extraneous").exists());
    (took, summary.fatal.unwrap().to_string())
}

/// Connects, says some bytes, and waits to be left.
fn says(address: SocketAddr, bytes: &[u8]) -> Ended {
    let start = Instant::now();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.write_all(bytes).unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0, "it is not answered");
    (start.elapsed(), CLOSED.to_owned())
}

/// Speaks HTTP/2 as it should, and calls nothing.
fn a_stranger_who_proves_nothing() -> Ended {
    let served = served(LIMIT);
    let start = Instant::now();
    let mut stranger = stranger(&served);
    let mut head = [0; 9];
    while stranger.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stranger.read_exact(&mut payload).unwrap();
        let [_, _, _, kind, flags, ..] = head;
        if kind == 6 && flags & 1 == 0 {
            // An answer to a ping: it is alive, so that this is not why it has to go.
            stranger.write_all(&frame(6, 1, 0, &payload)).unwrap();
            stranger.flush().unwrap();
        }
    }
    (start.elapsed(), CLOSED.to_owned())
}

fn pushes(planes: PlanePolicy, deadline: Option<Duration>, script: Vec<Response>) -> Ended {
    let start = Instant::now();
    let error = push_over(planes, deadline, script);
    (start.elapsed(), error.to_string())
}

/// The kernel accepts for a listener that never does.
fn pushes_to_a_silent_port(planes: PlanePolicy) -> Ended {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    pushes(planes, None, vec![Response::Negotiation(negotiation(port))])
}

/// Pulls over a data port that says a byte each second, as a record of TLS begins.
fn pulls_from_a_dripping_port(planes: PlanePolicy) -> Ended {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let dripping = port.try_clone().unwrap();
    std::thread::spawn(move || {
        for socket in dripping.incoming() {
            let mut socket = socket.unwrap();
            std::thread::spawn(move || {
                let bytes = [0x16, 3, 3, 0x40].into_iter().chain([0; 36]);
                for byte in bytes {
                    if socket.write_all(&[byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            });
        }
    });
    pulls_over(&port, planes, |port| {
        vec![negotiated(replacing(port)), said(Said::Header(header()))]
    })
}

/// The negotiation of a source that can replace streams, with as many tokens as are ever needed.
fn replacing(data_port: u16) -> DataTransferNegotiation {
    DataTransferNegotiation {
        hello: Some(blit_proto::version::hello()),
        one_time_tokens: vec![token(); 16],
        ..negotiation(data_port)
    }
}

/// Pulls from a source that follows a script, which is given a data port that never answers.
fn pulls(planes: PlanePolicy, script: fn(u16) -> Vec<PullChunk>) -> Ended {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    pulls_over(&silent, planes, script)
}

/// Pulls from a source that follows a script, which is given this data port.
fn pulls_over(
    silent: &TcpListener,
    planes: PlanePolicy,
    script: fn(u16) -> Vec<PullChunk>,
) -> Ended {
    let script = script(silent.local_addr().unwrap().port());
    let start = Instant::now();
    let error = pull_over(planes, script, |session| session.err().unwrap());
    (start.elapsed(), error.to_string())
}

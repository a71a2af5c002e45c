//! Who has no business with a mover gets nothing from it, and does not disturb the one who has.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::process::{Finished, Running, run, start};
use blit_e2e::snapshot::Snapshot;
use blit_e2e::{oracle, tree};
use blit_proto::pki::{Authority, PeerName, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::blit::blit;
use crate::machine;

/// UID of the job, and of another one.
const JOB: &str = "6c1c0a5e-0000-4000-8000-000000000001";
const OTHER: &str = "6c1c0a5e-0000-4000-8000-000000000002";

/// A source, a destination that holds something, and a destination mover that waits for its source.
struct Waiting {
    area: Area,
    mover: Running,
    control: SocketAddr,
    data: SocketAddr,
    authority: Authority,
    before: Snapshot,
}

impl Waiting {
    fn new() -> Self {
        let area = Area::on(FileSystem::Ext4).unwrap();
        tree::build(&tree::every_kind(), &area.join("source")).unwrap();
        fs::create_dir(area.join("destination")).unwrap();
        fs::write(area.join("destination/mine"), "mine").unwrap();
        let authority = Authority::new("test", SystemTime::now()).unwrap();
        let identity = identity(&area, &authority, "destination", JOB, Role::Destination);
        let mut command = blit(&[
            "mover",
            "destination",
            "--path",
            "/",
            "--operation",
            "mirror",
        ]);
        command.args([
            "--max-delete",
            "100%",
            "--listen",
            "127.0.0.1:0",
            "--data-port",
            "0",
        ]);
        command.args(["--job-uid", JOB, "--attempt", "1"]);
        command.arg("--root").arg(area.join("destination"));
        command.arg("--identity").arg(identity);
        let before = Snapshot::of(&area.join("destination")).unwrap();
        let mover = start(command).unwrap();
        let first = mover.wait_for_line("say where it listens", |line| line.contains("\"listen\""));
        let first: serde_json::Value = serde_json::from_str(&first.unwrap().unwrap()).unwrap();
        let control: SocketAddr = first["listen"]["control"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let data = first["listen"]["data"].as_u64().unwrap();
        let data = SocketAddr::new(control.ip(), data.try_into().unwrap());
        Self {
            area,
            mover,
            control,
            data,
            authority,
            before,
        }
    }

    /// Runs a source mover with this identity, for this job.
    fn source(&self, identity: &Path, job: &str, attempt: &str) -> Finished {
        let mut command = blit(&["mover", "source", "--path", "/", "--job-uid", job]);
        command.args(["--attempt", attempt, "--connect", &self.control.to_string()]);
        command.arg("--root").arg(self.area.join("source"));
        command.arg("--identity").arg(identity);
        run(command).unwrap()
    }

    /// Asserts that nothing was written, and that the true source is still served.
    fn assert_undisturbed(self) {
        let destination = self.area.join("destination");
        self.before
            .assert_untouched(&Snapshot::of(&destination).unwrap());
        let identity = identity(&self.area, &self.authority, "source", JOB, Role::Source);
        self.source(&identity, JOB, "1").expect_code(0);
        self.mover.finish().unwrap().expect_code(0);
        oracle::assert_mirrored(&self.area.join("source"), &destination);
    }
}

/// Writes an identity into a folder of this name.
fn identity(area: &Area, authority: &Authority, name: &str, job: &str, role: Role) -> PathBuf {
    let folder = area.join(&format!("identity-{name}"));
    fs::create_dir(&folder).unwrap();
    let peer = PeerName::mover(job, 1, role).unwrap();
    authority.issue(&peer).unwrap().write(&folder).unwrap();
    folder
}

#[test]
fn a_client_without_a_certificate_gets_nothing() {
    let _shared = machine::shared();
    let waiting = Waiting::new();
    let mut roots = RootCertStore::empty();
    let ca = waiting.authority.certificate_pem();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(waiting.control).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let name = ServerName::try_from("destination").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // In TLS 1.3 a client learns only after its own first bytes whether it was accepted.
    let answer = stream
        .write_all(preface)
        .and_then(|()| stream.read(&mut [0; 64]));
    assert!(!matches!(answer, Ok(1..)), "the mover answered: {answer:?}");
    waiting.assert_undisturbed();
}

#[test]
fn a_client_of_another_authority_job_or_role_is_not_authenticated() {
    let _shared = machine::shared();
    let waiting = Waiting::new();
    let foreign = Authority::new("foreign", SystemTime::now()).unwrap();
    let authority = &waiting.authority;
    let cases = [
        identity(&waiting.area, &foreign, "foreign", JOB, Role::Source),
        identity(&waiting.area, authority, "job", OTHER, Role::Source),
        identity(&waiting.area, authority, "role", JOB, Role::Destination),
    ];
    for identity in cases {
        let finished = waiting.source(&identity, JOB, "1");
        finished.expect_code(31);
        assert!(
            finished.stderr().contains("not authenticated"),
            "{}",
            finished.stderr()
        );
    }
    waiting.assert_undisturbed();
}

#[test]
fn data_sockets_without_a_token_are_closed_without_an_answer() {
    let _shared = machine::shared();
    let waiting = Waiting::new();
    let mut frame = [0; 1024];
    frame[..8].copy_from_slice(b"BLITDP2\0");
    let strangers = [&frame[..], &[0xff; 1024], b"GET / HTTP/1.1\r\n\r\n", &[]].map(|first| {
        let mut socket = TcpStream::connect(waiting.data).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        // It may be closed before everything is written, which is as good.
        let _ = socket.write_all(first);
        socket
    });
    // The true source comes while they are there.
    waiting.assert_undisturbed();
    for mut socket in strangers {
        let answer = socket.read(&mut [0; 64]);
        let timed_out = answer
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        assert!(!matches!(answer, Ok(1..)) && !timed_out, "{answer:?}");
    }
}

#[test]
fn a_probe_that_says_nothing_leaves_no_line_in_the_log() {
    let _shared = machine::shared();
    let waiting = Waiting::new();
    for _ in 0..5 {
        drop(TcpStream::connect(waiting.control).unwrap());
    }
    let identity = identity(
        &waiting.area,
        &waiting.authority,
        "source",
        JOB,
        Role::Source,
    );
    waiting.source(&identity, JOB, "1").expect_code(0);
    let finished = waiting.mover.finish().unwrap();
    finished.expect_code(0);
    assert!(
        !finished.stderr().contains("refused"),
        "{}",
        finished.stderr()
    );
}

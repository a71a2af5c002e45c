use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::*;
use crate::pki::{PeerName, Role};

struct Daemon {
    authority: Authority,
    identity: Identity,
}

fn daemon() -> Daemon {
    let (authority, _) = new_authority(SystemTime::now()).unwrap();
    let identity = authority.issue(&PeerName::daemon("test").unwrap()).unwrap();
    Daemon {
        authority,
        identity,
    }
}

impl Daemon {
    fn pin(&self) -> Trust {
        Trust::Pin(Pin::of_pem(self.authority.certificate_pem()).unwrap())
    }

    fn client(&self, name: &PeerName) -> ClientCertificate {
        let issued = self.authority.issue(name).unwrap();
        ClientCertificate {
            certificate: issued.certificate_pem().to_owned(),
            key: issued.key_pem().to_owned(),
        }
    }
}

/// Lets both sides talk in memory; returns what the first of them objects to.
fn handshake(server: &Identity, trust: &Trust, own: Option<&ClientCertificate>) -> Option<Error> {
    let name = ServerName::try_from("daemon").unwrap();
    let config = client_config(trust, own).unwrap();
    let mut client = Connection::from(ClientConnection::new(config, name).unwrap());
    let config = server_config(server).unwrap();
    let mut server = Connection::from(ServerConnection::new(config).unwrap());
    for _ in 0..10 {
        for (from, to) in [(0, 1), (1, 0)] {
            let sides = [&mut client, &mut server];
            let mut wire = Vec::new();
            while sides[from].wants_write() {
                sides[from].write_tls(&mut wire).unwrap();
            }
            let mut wire = &wire[..];
            while !wire.is_empty() {
                sides[to].read_tls(&mut wire).unwrap();
                if let Err(error) = sides[to].process_new_packets() {
                    return Some(error);
                }
            }
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    None
}

#[test]
fn a_client_gets_in_with_or_without_a_certificate_and_knows_the_daemon_by_pin_or_authority() {
    let daemon = daemon();
    let authority = Trust::Authority(daemon.authority.certificate_pem().to_owned());
    let client = daemon.client(&PeerName::client("me", "read", "-").unwrap());
    for trust in [&daemon.pin(), &authority] {
        assert_eq!(handshake(&daemon.identity, trust, None), None);
        assert_eq!(handshake(&daemon.identity, trust, Some(&client)), None);
    }
}

#[test]
fn another_authority_is_not_taken_for_the_daemon() {
    let (ours, theirs) = (daemon(), daemon());
    let error = handshake(&theirs.identity, &ours.pin(), None).unwrap();
    assert!(
        super::super::tls::explain(&error).contains("another authority"),
        "{error}"
    );
    let authority = Trust::Authority(ours.authority.certificate_pem().to_owned());
    assert!(handshake(&theirs.identity, &authority, None).is_some());
    // It shows the authority that is pinned, but that did not sign for it.
    let mixed = Identity::new(
        ours.authority.certificate_pem().to_owned(),
        theirs.identity.certificate_pem().to_owned(),
        theirs.identity.key_pem().to_owned(),
    );
    assert!(handshake(&mixed, &ours.pin(), None).is_some());
}

#[test]
fn a_client_cannot_pose_as_the_daemon_nor_a_stranger_as_a_client() {
    let (ours, theirs) = (daemon(), daemon());
    let name = PeerName::client("me", "read.write", "-").unwrap();
    let client = ours.authority.issue(&name).unwrap();
    assert!(handshake(&client, &ours.pin(), None).is_some());
    let foreign = theirs.client(&name);
    assert!(handshake(&ours.identity, &ours.pin(), Some(&foreign)).is_some());
    let mover = ours.client(&PeerName::mover("job", 1, Role::Source).unwrap());
    assert!(handshake(&ours.identity, &ours.pin(), Some(&mover)).is_some());
}

#[test]
fn a_stored_authority_goes_on_signing() {
    let (first, key) = new_authority(SystemTime::now()).unwrap();
    let certificate = first.certificate_pem().to_owned();
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let again = stored_authority(certificate, &key, now, hour).unwrap();
    let identity = again.issue(&PeerName::daemon("test").unwrap()).unwrap();
    let trust = Trust::Pin(Pin::of_pem(first.certificate_pem()).unwrap());
    assert_eq!(handshake(&identity, &trust, None), None);
}

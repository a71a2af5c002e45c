use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::{ClientConnection, ServerConnection};

use super::{client_config, explain, server_config};
use crate::pki::{Authority, Identity, PeerName, PeerPattern, Role};

const JOB: &str = "6f1c1a52-59b9-4a0e-8f0e-0d9ff35c4d0e";

fn source(attempt: u32) -> PeerName {
    PeerName::mover(JOB, attempt, Role::Source).unwrap()
}

fn destination(attempt: u32) -> PeerName {
    PeerName::mover(JOB, attempt, Role::Destination).unwrap()
}

fn authority() -> Authority {
    Authority::new("test", SystemTime::now()).unwrap()
}

/// Runs a handshake in memory; the server expects the source of attempt 1 or an operator, the client the
/// destination of attempt 1.
fn handshake(server: &Identity, client: &Identity) -> Result<(), rustls::Error> {
    let accepted = vec![PeerPattern::Exactly(source(1)), PeerPattern::AnyOperator];
    let mut server = ServerConnection::new(server_config(server, accepted).unwrap()).unwrap();
    let expected = PeerPattern::Exactly(destination(1));
    let config = client_config(client, expected).unwrap();
    let mut client = ClientConnection::new(config, "blit.invalid".try_into().unwrap()).unwrap();
    loop {
        let mut moved = 0;
        let mut bytes = Vec::new();
        while client.wants_write() {
            moved += client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            server.read_tls(&mut input).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            moved += server.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            client.process_new_packets()?;
        }
        if moved == 0 {
            assert!(!client.is_handshaking() && !server.is_handshaking());
            return Ok(());
        }
    }
}

#[test]
fn the_two_sides_of_an_attempt_and_an_operator_get_in() {
    let authority = authority();
    let server = authority.issue(&destination(1)).unwrap();
    handshake(&server, &authority.issue(&source(1)).unwrap()).unwrap();
    let operator = PeerName::operator("run").unwrap();
    handshake(&server, &authority.issue(&operator).unwrap()).unwrap();
}

#[test]
fn certificates_of_another_authority_are_refused_on_both_sides() {
    let (ours, theirs) = (authority(), authority());
    let server = ours.issue(&destination(1)).unwrap();
    assert!(handshake(&server, &theirs.issue(&source(1)).unwrap()).is_err());
    // A client that trusts the right authority but holds the certificate of another.
    let stranger = theirs.issue(&source(1)).unwrap();
    let mixed = Identity::new(
        ours.certificate_pem().to_owned(),
        stranger.certificate_pem().to_owned(),
        stranger.key_pem().to_owned(),
    );
    assert!(handshake(&server, &mixed).is_err());
    let impostor = theirs.issue(&destination(1)).unwrap();
    assert!(handshake(&impostor, &ours.issue(&source(1)).unwrap()).is_err());
}

#[test]
fn the_wrong_role_job_or_attempt_is_refused_and_named() {
    let authority = authority();
    let server = authority.issue(&destination(1)).unwrap();
    for wrong in [
        destination(1),
        source(2),
        PeerName::mover("another-job", 1, Role::Source).unwrap(),
    ] {
        let error = handshake(&server, &authority.issue(&wrong).unwrap()).unwrap_err();
        let text = explain(&error);
        assert!(
            text.contains(&wrong.to_string()) && !text.contains("Unexpected"),
            "{text}"
        );
    }
    let client = authority.issue(&source(1)).unwrap();
    for wrong in [
        source(1),
        destination(2),
        PeerName::operator("run").unwrap(),
    ] {
        assert!(
            handshake(&authority.issue(&wrong).unwrap(), &client).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn the_authority_for_operators_vouches_for_operators_only() {
    let (ours, operators) = (authority(), authority());
    let server = ours
        .issue(&destination(1))
        .unwrap()
        .with_operator_ca(operators.certificate_pem().to_owned());
    let with_our_ca = |identity: Identity| {
        Identity::new(
            ours.certificate_pem().to_owned(),
            identity.certificate_pem().to_owned(),
            identity.key_pem().to_owned(),
        )
    };
    let operator = PeerName::operator("blit-system").unwrap();
    handshake(&server, &with_our_ca(operators.issue(&operator).unwrap())).unwrap();
    assert!(handshake(&server, &with_our_ca(operators.issue(&source(1)).unwrap())).is_err());
}

#[test]
fn a_certificate_is_valid_for_an_hour_back_and_thirty_days_on() {
    let day = Duration::from_secs(24 * 3600);
    let valid = |signed: SystemTime| {
        let authority = Authority::new("test", signed).unwrap();
        let server = authority.issue(&destination(1)).unwrap();
        handshake(&server, &authority.issue(&source(1)).unwrap()).is_ok()
    };
    let now = SystemTime::now();
    assert!(
        valid(now + Duration::from_secs(3500)),
        "signed by a clock that is ahead"
    );
    assert!(!valid(now + Duration::from_secs(3700)));
    assert!(valid(now - day * 29));
    assert!(!valid(now - day * 31));
}

#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let authority = authority();
    let server = authority.issue(&destination(1)).unwrap();
    let accepted = vec![PeerPattern::Exactly(source(1))];
    let mut server = ServerConnection::new(server_config(&server, accepted).unwrap()).unwrap();
    let client = authority.issue(&source(1)).unwrap();
    let expected = PeerPattern::Exactly(destination(1));
    let mut config = client_config(&client, expected).unwrap().as_ref().clone();
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    let mut client =
        ClientConnection::new(Arc::new(config), "blit.invalid".try_into().unwrap()).unwrap();
    let mut refused = None;
    for _ in 0..4 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() && refused.is_none() {
            server.read_tls(&mut input).unwrap();
            refused = server.process_new_packets().err();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut input = bytes.as_slice();
        while !input.is_empty() {
            client.read_tls(&mut input).unwrap();
            let _ = client.process_new_packets();
        }
    }
    assert_eq!(refused, Some(rustls::Error::NoCertificatesPresented));
}

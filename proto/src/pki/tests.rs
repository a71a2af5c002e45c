use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::tls::peer_name;
use super::{Authority, PeerName, Role};

#[test]
fn a_certificate_names_whom_it_was_issued_to() {
    let authority = Authority::new("test", SystemTime::now()).unwrap();
    let peer = PeerName::mover("job", 3, Role::Source).unwrap();
    let identity = authority.issue(&peer).unwrap();
    let der = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
    assert_eq!(peer_name(&der).unwrap(), peer);
    assert_eq!(identity.ca_pem(), authority.certificate_pem());
}

#[test]
fn the_certificate_of_an_authority_names_nobody() {
    let authority = Authority::new("test", SystemTime::now()).unwrap();
    let der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
    assert!(peer_name(&der).is_err());
}

#[test]
fn bytes_that_are_no_certificate_name_nobody() {
    assert!(peer_name(&CertificateDer::from(vec![0x30, 0x82, 0xff])).is_err());
}

//! Certificates and names that were altered on purpose.

use std::sync::LazyLock;
use std::time::SystemTime;

use blit_proto::pki::daemon::Pin;
use blit_proto::pki::{Authority, PeerName, Role, tls};
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A certificate of a mover.
static CERTIFICATE: LazyLock<CertificateDer<'static>> = LazyLock::new(|| {
    let authority = Authority::new("test", SystemTime::now()).unwrap();
    let name = PeerName::mover("job", 1, Role::Source).unwrap();
    let identity = authority.issue(&name).unwrap();
    CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap()
});

proptest! {
    #[test]
    fn an_altered_certificate_names_somebody_or_nobody(
        flips in proptest::collection::vec((any::<usize>(), 1..=255u8), 1..4),
        cut in any::<usize>(),
        cuts in any::<bool>(),
    ) {
        let mut der = CERTIFICATE.to_vec();
        for (at, with) in flips {
            let at = at % der.len();
            der[at] ^= with;
        }
        if cuts {
            der.truncate(cut % der.len());
        }
        if let Ok(name) = tls::peer_name(&CertificateDer::from(der)) {
            prop_assert_eq!(name.to_string().parse::<PeerName>().unwrap(), name);
        }
    }

    #[test]
    fn a_name_that_can_be_read_is_written_as_it_was_read(
        words in proptest::collection::vec("[a-z0-9A-Z._-]{0,12}|operator|daemon|client|source|[0-9]{1,12}", 0..6),
        noise in any::<String>(),
    ) {
        let text = format!("blit://{}", words.join("/"));
        for text in [text.as_str(), noise.as_str()] {
            if let Ok(name) = text.parse::<PeerName>() {
                prop_assert_eq!(name.to_string().parse::<PeerName>().unwrap(), name);
            }
        }
    }

    #[test]
    fn any_text_is_an_authority_or_none(text in any::<String>(), inside in "[A-Za-z0-9+/=\n]{0,80}") {
        let _ = Pin::of_pem(&text);
        let _ = Pin::of_pem(&format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n"));
    }
}

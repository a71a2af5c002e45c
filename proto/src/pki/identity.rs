//! What one side holds: its certificate and key, and the authority it trusts; kept in a folder as PEM.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// File with the certificate of the authority of the attempt.
const CA_FILE: &str = "ca.crt";
/// File with the certificate of this side.
const CERTIFICATE_FILE: &str = "tls.crt";
/// File with the key of this side.
const KEY_FILE: &str = "tls.key";
/// File with the certificate of the authority that signs for operators; need not exist.
const OPERATOR_CA_FILE: &str = "operator-ca.crt";

/// Largest file that is read, in bytes; a certificate has about 700.
const FILE_BYTES: u64 = 64 << 10;

/// Certificate and key of one side, and whom it trusts. All PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    ca: String,
    certificate: String,
    key: String,
    operator_ca: Option<String>,
}

/// A folder does not hold a usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}; the identity folder needs ca.crt, tls.crt and tls.key")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{what} is not usable: {reason}; make a new identity for the attempt")]
    Invalid {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Identity {
    /// Puts an identity together from PEM.
    pub fn new(ca: String, certificate: String, key: String) -> Self {
        Self {
            ca,
            certificate,
            key,
            operator_ca: None,
        }
    }

    /// Also trusts this authority (PEM), for operators only: it cannot vouch for a mover.
    #[must_use]
    pub fn with_operator_ca(self, operator_ca: String) -> Self {
        Self {
            operator_ca: Some(operator_ca),
            ..self
        }
    }

    /// Reads `ca.crt`, `tls.crt`, `tls.key` and, if it exists, `operator-ca.crt`.
    pub fn read(dir: &Path) -> Result<Self, IdentityError> {
        let operator_ca = match read(dir, OPERATOR_CA_FILE) {
            Ok(text) => Some(text),
            Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            ca: read(dir, CA_FILE)?,
            certificate: read(dir, CERTIFICATE_FILE)?,
            key: read(dir, KEY_FILE)?,
            operator_ca,
        })
    }

    /// Writes the files that [`Self::read`] reads, mode 0600. The folder must exist; files in it are not
    /// replaced.
    pub fn write(&self, dir: &Path) -> Result<(), IdentityError> {
        write(dir, CA_FILE, &self.ca)?;
        write(dir, CERTIFICATE_FILE, &self.certificate)?;
        write(dir, KEY_FILE, &self.key)?;
        match &self.operator_ca {
            Some(ca) => write(dir, OPERATOR_CA_FILE, ca),
            None => Ok(()),
        }
    }

    /// Returns the certificate of the authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// Returns the certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Returns the key, PEM (PKCS #8). It is a secret.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// Returns the certificate of the authority for operators, PEM.
    pub fn operator_ca_pem(&self) -> Option<&str> {
        self.operator_ca.as_deref()
    }

    /// Returns the certificate of this side with its key, for TLS.
    pub(crate) fn leaf(
        &self,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), IdentityError> {
        let certificate = certificate(&self.certificate, "the certificate (tls.crt)")?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| {
            IdentityError::Invalid {
                what: "the key (tls.key)",
                reason: error.to_string(),
            }
        })?;
        Ok((certificate, key))
    }

    /// Returns the certificates of the authorities: for everybody, and for operators only.
    pub(crate) fn authorities(
        &self,
    ) -> Result<(CertificateDer<'static>, Option<CertificateDer<'static>>), IdentityError> {
        let ca = certificate(&self.ca, "the authority (ca.crt)")?;
        let operators = self.operator_ca.as_deref();
        let operators = operators
            .map(|pem| certificate(pem, "the authority for operators (operator-ca.crt)"))
            .transpose()?;
        Ok((ca, operators))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn certificate(pem: &str, what: &'static str) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| IdentityError::Invalid {
        what,
        reason: error.to_string(),
    })
}

fn read(dir: &Path, name: &str) -> Result<String, IdentityError> {
    use std::io::Read as _;
    let path = dir.join(name);
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(FILE_BYTES).read_to_string(&mut text))
        .map_err(|source| IdentityError::Read { path, source })?;
    Ok(text)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), IdentityError> {
    let path = dir.join(name);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| IdentityError::Write { path, source })
}

#[cfg(test)]
mod tests;

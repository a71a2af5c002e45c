//! The identities of one attempt: an authority of its own that signs one certificate for each side and is
//! then forgotten.

use std::time::SystemTime;

use blit_crds::mirrorjob::Side;
use blit_proto::pki::{Authority, Identity, IssueError, PeerName, PeerNameError, Role};
use thiserror::Error;

/// What each side of an attempt holds.
#[derive(Clone)]
pub struct Identities {
    source: Identity,
    destination: Identity,
}

/// The identities of an attempt could not be made.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The UID of the job cannot stand in a certificate.
    #[error("cannot name the movers of the job: {0}")]
    Name(#[from] PeerNameError),
    /// A certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Identities {
    /// Makes the identities of an attempt, valid from `now`. The key of the authority is dropped.
    ///
    /// # Errors
    /// Fails when the UID cannot stand in a certificate or no key can be made.
    pub fn issue(job_uid: &str, attempt: u32, now: SystemTime) -> Result<Self, IdentityError> {
        let authority = Authority::new(&format!("{job_uid}/{attempt}"), now)?;
        let issue = |role| -> Result<Identity, IdentityError> {
            Ok(authority.issue(&PeerName::mover(job_uid, attempt, role)?)?)
        };
        Ok(Self {
            source: issue(Role::Source)?,
            destination: issue(Role::Destination)?,
        })
    }

    /// Puts two identities together.
    pub fn new(source: Identity, destination: Identity) -> Self {
        Self {
            source,
            destination,
        }
    }

    /// Lets the movers know the operator by this certificate of its authority, PEM.
    #[must_use]
    pub fn known_to(self, operator_ca: &str) -> Self {
        let known = |identity: Identity| identity.with_operator_ca(operator_ca.to_owned());
        Self {
            source: known(self.source),
            destination: known(self.destination),
        }
    }

    /// Returns the identity of a side.
    pub fn of(&self, side: Side) -> &Identity {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }
}

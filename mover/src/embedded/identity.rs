//! The certificates of one attempt, in a folder that only this user can read and that is gone with the run.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use blit_crds::mirrorjob::Side;
use blit_engine::fs::dir::display_path;
use blit_proto::pki::{Authority, IdentityError, IssueError, PeerName, PeerNameError, Role};

/// A folder with the identities of both movers; dropping it removes it.
///
/// The movers read it when they start, so it is removed as soon as both have: a run that is killed later
/// leaves no key behind.
#[derive(Debug)]
pub(super) struct Identities {
    folder: PathBuf,
}

/// The identities of an attempt cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentitiesError {
    /// The folder cannot be made.
    #[error("cannot make the private folder `{}`: {source}; check TMPDIR", display_path(.folder))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The name in a certificate cannot be written.
    #[error(transparent)]
    Name(#[from] PeerNameError),
    /// A certificate cannot be written.
    #[error(transparent)]
    Write(#[from] IdentityError),
}

impl Identities {
    /// Makes an authority, signs a certificate for each side of the attempt, and forgets the authority's key.
    pub(super) fn make(run_id: &str, job_uid: &str, attempt: u32) -> Result<Self, IdentitiesError> {
        let folder = std::env::temp_dir().join(format!("blit-run-{run_id}"));
        make_private(&folder)?;
        let identities = Self { folder };
        let authority = Authority::new(&format!("{job_uid}/{attempt}"), SystemTime::now())?;
        for (side, role) in [
            (Side::Source, Role::Source),
            (Side::Destination, Role::Destination),
        ] {
            let folder = identities.of(side);
            make_private(&folder)?;
            authority
                .issue(&PeerName::mover(job_uid, attempt, role)?)?
                .write(&folder)?;
        }
        Ok(identities)
    }

    /// Returns the folder of one side.
    pub(super) fn of(&self, side: Side) -> PathBuf {
        self.folder.join(side.as_str())
    }
}

impl Drop for Identities {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            let folder = display_path(&self.folder);
            tracing::warn!(%error, folder, "cannot remove the folder with the run's certificates");
        }
    }
}

fn make_private(folder: &Path) -> Result<(), IdentitiesError> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .map_err(|source| IdentitiesError::Folder {
            folder: folder.to_owned(),
            source,
        })
}

//! What a daemon is known by: an authority, a server certificate that it signed, and the key that signs
//! tokens; kept in a folder, or made for one run.
//!
//! The folder is made complete under another name and then renamed, so that nobody ever sees a part of one:
//! of two daemons that make it at the same time, one makes it and the other reads it.
//!
//! Invariants: the folder has mode 0700, its files 0600; an identity that others may read is refused.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blit_engine::fs::dir::display_path;
use blit_engine::run::new_run_id;
use blit_proto::control::access::Token;
use blit_proto::pki::daemon::{Pin, new_authority, stored_authority};
use blit_proto::pki::{Identity, IdentityError, IssueError, PeerName, PeerNameError};
use blit_transport::auth::bearer::{IssueTokenError, TokenKey, client_name};
use blit_transport::auth::grant::Grant;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// File with the key of the authority.
const CA_KEY_FILE: &str = "ca.key";
/// File with the key that signs tokens.
const TOKEN_KEY_FILE: &str = "token.key";

/// What a daemon calls itself in its certificate.
const NAME: &str = "blit";

/// What a daemon holds.
#[derive(Debug)]
pub struct DaemonIdentity {
    server: Identity,
    ca_key: String,
    token_key: TokenKey,
}

/// An identity folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityFolderError {
    /// A call failed.
    #[error("cannot {action} `{}`: {source}; name a folder that this user may use, or one that does not exist yet", display_path(.path))]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else could read it.
    #[error("`{}` can be read by others; it holds secrets: chmod go= it, and make new tokens if somebody may have read it", display_path(.0))]
    Exposed(PathBuf),
    /// A file holds something else.
    #[error("`{}` is no key of a daemon; name another folder, or one that does not exist yet", display_path(.0))]
    NoKey(PathBuf),
    /// Its certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A token cannot be made.
    #[error(transparent)]
    Token(#[from] IssueTokenError),
    /// The name in a certificate cannot be written.
    #[error(transparent)]
    Name(#[from] PeerNameError),
}

impl DaemonIdentity {
    /// Makes an identity.
    pub fn make(now: SystemTime) -> Result<Self, IdentityFolderError> {
        let (authority, ca_key) = new_authority(now)?;
        Ok(Self {
            server: authority.issue(&PeerName::daemon(NAME)?)?,
            ca_key,
            token_key: TokenKey::random()?,
        })
    }

    /// Reads the identity in a folder; makes both if there is no such folder.
    pub fn open_or_make(folder: &Path, now: SystemTime) -> Result<Self, IdentityFolderError> {
        match Self::open(folder) {
            Err(IdentityFolderError::File { source, path, .. })
                if source.kind() == io::ErrorKind::NotFound && path == folder => {}
            opened => return opened,
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(failed("make", parent))?;
        let new = parent.join(format!(".blit-identity-{}", new_run_id()));
        (std::fs::DirBuilder::new().mode(0o700).create(&new)).map_err(failed("make", &new))?;
        let made = Self::make(now).and_then(|made| {
            made.write(&new)?;
            Ok(made)
        });
        let renamed = made.and_then(|made| {
            match renameat_with(CWD, &new, CWD, folder, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(made),
                // Another daemon was faster.
                Err(Errno::EXIST) => Self::open(folder),
                Err(errno) => Err(failed("make", folder)(errno.into())),
            }
        });
        // Gone if it was renamed.
        let _ = std::fs::remove_dir_all(&new);
        renamed
    }

    /// Reads the identity in a folder.
    pub fn open(folder: &Path) -> Result<Self, IdentityFolderError> {
        check_private(folder)?;
        let token_key = folder.join(TOKEN_KEY_FILE);
        check_private(&token_key)?;
        let ca_key = folder.join(CA_KEY_FILE);
        check_private(&ca_key)?;
        check_private(&folder.join("tls.key"))?;
        let key = std::fs::read(&token_key).map_err(failed("read", &token_key))?;
        Ok(Self {
            server: Identity::read(folder)?,
            ca_key: std::fs::read_to_string(&ca_key).map_err(failed("read", &ca_key))?,
            token_key: TokenKey::from_bytes(&key).ok_or(IdentityFolderError::NoKey(token_key))?,
        })
    }

    /// Returns the certificates that the daemon shows.
    pub fn server(&self) -> &Identity {
        &self.server
    }

    /// Returns the key that signs tokens.
    pub fn token_key(&self) -> &TokenKey {
        &self.token_key
    }

    /// Makes a token.
    pub fn issue(
        &self,
        grant: &Grant,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Token, IdentityFolderError> {
        let pin = Pin::of_pem(self.server.ca_pem())?;
        Ok(self.token_key.issue(grant, lifetime, pin, now)?)
    }

    /// Makes a certificate for a client.
    pub fn certify(
        &self,
        name: &str,
        grant: &Grant,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Identity, IdentityFolderError> {
        let ca = self.server.ca_pem().to_owned();
        let authority = stored_authority(ca, &self.ca_key, now, lifetime)?;
        Ok(authority.issue(&client_name(name, grant)?)?)
    }

    /// Makes a certificate for a client, in a new folder.
    pub fn certify_into(
        &self,
        folder: &Path,
        grant: &Grant,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<(), IdentityFolderError> {
        let client = self.certify("client", grant, lifetime, now)?;
        let mut private = std::fs::DirBuilder::new();
        private
            .mode(0o700)
            .create(folder)
            .map_err(failed("make", folder))?;
        Ok(client.write(folder)?)
    }

    fn write(&self, folder: &Path) -> Result<(), IdentityFolderError> {
        self.server.write(folder)?;
        write(&folder.join(CA_KEY_FILE), self.ca_key.as_bytes())?;
        write(&folder.join(TOKEN_KEY_FILE), self.token_key.as_bytes())?;
        // A crash must not leave a folder with empty files under the final name.
        let handle = std::fs::File::open(folder).map_err(failed("open", folder))?;
        rustix::fs::syncfs(&handle).map_err(|errno| failed("flush", folder)(errno.into()))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), IdentityFolderError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(failed("write", path))
}

/// Refuses what others than its owner may read.
fn check_private(path: &Path) -> Result<(), IdentityFolderError> {
    let metadata = std::fs::metadata(path).map_err(failed("read", path))?;
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(IdentityFolderError::Exposed(path.to_owned())),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityFolderError {
    let path = path.to_owned();
    move |source| IdentityFolderError::File {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests;

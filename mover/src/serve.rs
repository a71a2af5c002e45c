//! `blit serve`: a daemon for one directory.
//!
//! [`identity`] is what it is known by, `files` what it does with files; `blit_transport::daemon` does the
//! rest. It runs until it is asked to end.
//!
//! Invariants: everything below the root is reached through handles, never by a path that the kernel follows
//! elsewhere. Without an identity folder it can be reached from this host only, and asks for a token all the same.
//! Non-goals: who may do what (blit-transport decides).

mod deadline;
mod files;
mod give;
pub mod identity;
mod list;
mod purge;
mod sessions;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use blit_crds::outcome::ExitCode;
use blit_engine::fs::dir::display_path;
use blit_engine::run::MaxDelete;
use blit_transport::TransportError;
use blit_transport::auth::grant::{Grant, Scopes};
use blit_transport::daemon::{Daemon, DaemonConfig, Handler};
use blit_transport::path::RelPath;

use crate::report::output::{Output, Outputs};
use crate::report::record::{EntryPath, Listen, Record, Start};
use crate::report::terminal::Screen;
use crate::roots::{self, RootError};
use crate::signals::Signals;
use files::Files;
use identity::{DaemonIdentity, IdentityFolderError};
use sessions::Limits;

/// Port of the control plane, where none is given.
pub const CONTROL_PORT: u16 = 9031;

/// Port of the data plane, where none is given.
pub const DATA_PORT: u16 = 9032;

/// How long nothing of a list may be read by who asked for it: a person may look at a page for a while.
const UNREAD: Duration = Duration::from_secs(120);

/// How long the token of a daemon without an identity folder is good: longer than the daemon.
const TOKEN_OF_RUN: Duration = Duration::from_secs(365 * 24 * 3600);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory.
    pub root: PathBuf,
    /// Address and port of the control plane; `None`: chosen by whether there is an identity.
    pub listen: Option<SocketAddr>,
    /// Port of the data plane.
    pub data_port: u16,
    /// The identity folder.
    pub identity: Option<PathBuf>,
    /// Refuse everything that writes.
    pub read_only: bool,
    /// Bound on the deletions of one mirror.
    pub max_delete: Option<MaxDelete>,
    /// Write no device, no set-id bit and no file capability.
    pub without_special_files: bool,
    /// How long a session in which nothing moves goes on.
    pub progress_deadline: Duration,
}

/// A daemon cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The root cannot be used.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityFolderError),
    /// The ports cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Without an identity only this host may be listened to.
    #[error(
        "without --identity a daemon listens on this host only, and {0} is reached from others; name an identity \
         folder, which is made on first use"
    )]
    Exposed(SocketAddr),
    /// Signals cannot be taken.
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] std::io::Error),
}

impl ServeError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Root(error) => error.exit_code(),
            Self::Exposed(_) => ExitCode::Usage,
            Self::Identity(_) | Self::Transport(_) | Self::Signals(_) => ExitCode::OtherError,
        }
    }
}

/// Serves until a signal comes, and returns how that ended.
pub fn run(settings: &Settings, screen: &Screen, output: &Outputs) -> ExitCode {
    match serve(settings, screen, output) {
        Ok(()) => ExitCode::Complete,
        Err(error) => {
            let (path, message) = (EntryPath::default(), error.to_string());
            output.take(&Record::Error { path, message });
            error.exit_code()
        }
    }
}

fn serve(settings: &Settings, screen: &Screen, output: &Outputs) -> Result<(), ServeError> {
    let signals = Signals::block().map_err(std::io::Error::from)?;
    let listen = address(settings)?;
    let root = roots::open_served(&settings.root)?;
    let identity = match &settings.identity {
        Some(folder) => DaemonIdentity::open_or_make(folder, SystemTime::now())?,
        None => DaemonIdentity::make(SystemTime::now())?,
    };
    let files = Arc::new(Files::new(
        root,
        Limits {
            max_delete: settings.max_delete,
            without_special_files: settings.without_special_files,
            progress_deadline: settings.progress_deadline,
        },
    ));
    let daemon = Daemon::bind(DaemonConfig {
        listen,
        data_port: settings.data_port,
        identity: identity.server().clone(),
        token_key: identity.token_key().clone(),
        read_only: settings.read_only,
        progress_deadline: settings.progress_deadline,
        unread_deadline: UNREAD,
        handler: Arc::clone(&files) as Arc<dyn Handler>,
    })?;
    let (end, ended) = mpsc::sync_channel(1);
    signals.cancel_then_exit(move || {
        // Full: it was asked to end before.
        let _ = end.try_send(());
    })?;
    let addresses = daemon.addresses();
    if settings.identity.is_none() {
        let everything = Grant {
            scopes: Scopes::all(),
            prefix: RelPath::default(),
        };
        let token = identity.issue(&everything, TOKEN_OF_RUN, SystemTime::now())?;
        screen.line(&format!("token for this run: BLIT_TOKEN={}", token.0));
    }
    let (control, data) = (addresses.control, addresses.data.port());
    screen.line(&format!(
        "serving {} on {control} (data: port {data}){}",
        display_path(&settings.root),
        if settings.read_only {
            ", read-only"
        } else {
            ""
        }
    ));
    output.take(&Record::Start(Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        operation: Some("serve".to_owned()),
        source: None,
        destination: Some(display_path(&settings.root)),
        listen: Some(Listen {
            control: control.to_string(),
            data: Some(data),
        }),
    }));
    // The sender lives in the thread that waits for signals, for as long as the process.
    let _ = ended.recv();
    daemon.end_pulls("the daemon was asked to end");
    files.end();
    Ok(())
}

/// Chooses where to listen.
fn address(settings: &Settings) -> Result<SocketAddr, ServeError> {
    match (settings.listen, &settings.identity) {
        (Some(listen), None) if !listen.ip().is_loopback() => Err(ServeError::Exposed(listen)),
        (Some(listen), _) => Ok(listen),
        (None, None) => Ok((Ipv4Addr::LOCALHOST, CONTROL_PORT).into()),
        (None, Some(_)) => Ok((Ipv6Addr::UNSPECIFIED, CONTROL_PORT).into()),
    }
}

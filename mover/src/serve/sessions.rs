//! The sessions of a daemon that write: each runs the engine on a thread of its own, as a mover would, and tells
//! its client what happens.
//!
//! Options come from the client as the daemon caps them; where the root lies, what may be deleted at most and
//! that everything is flushed to disk is the daemon's to say.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use blit_crds::mirrorjob::Side;
use blit_crds::outcome::ExitCode;
use blit_engine::fs::{Dir, Errno, FsError};
use blit_engine::run::{
    Cancel, DestinationRoot, Listing, MaxDelete, Operation, Options, RunIdentity, new_run_id,
};
use blit_transport::daemon::{Ask, Pushed, Refusal};
use blit_transport::destination::Session;
use blit_transport::location::Overlap;
use blit_transport::path::RelPath;
use blit_transport::planes::Tried;

use super::deadline;
use super::list::refusal;
use crate::local::file::touch;
use crate::process::peak_memory;
use crate::pull::file::OneFile;
use crate::reception::Reception;
use crate::report::live::{Live, Plane};
use crate::report::output::Outputs;
use crate::report::record::SummaryRecord;
use crate::report::relay::Relay;
use crate::report::rpc;
use crate::report::summary::{self, Setting};

/// How long sessions may take to end when the daemon does.
const GRACE: Duration = Duration::from_secs(20);

/// What the daemon decides for all sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bound on the deletions of one mirror.
    pub(super) max_delete: Option<MaxDelete>,
    /// No device, set-id bit or file capability is written.
    pub(super) without_special_files: bool,
    /// How long a run in which nothing moves goes on.
    pub(super) progress_deadline: Duration,
}

/// The sessions under way.
#[derive(Default)]
pub(super) struct Sessions {
    running: Mutex<Running>,
    ended: Condvar,
}

#[derive(Default)]
struct Running {
    cancels: HashMap<String, Cancel>,
    closing: bool,
}

impl Sessions {
    /// Runs a push to its end.
    pub(super) fn push(&self, root: &Dir, limits: Limits, pushed: Pushed) {
        let (begun, run_id, cancel) = (Instant::now(), new_run_id(), Cancel::new());
        self.begin(&run_id, &cancel);
        let setting = || Setting {
            since: begun,
            transport: pushed.session.figures().transport,
            bytes_sent: 0,
            peak_memory: peak_memory(),
        };
        let Pushed {
            session,
            ask,
            path,
            who,
            ..
        } = &pushed;
        let options = Options {
            fsync: true,
            delete_limit: limits.max_delete,
            without_special_files: limits.without_special_files,
            block_queue: crate::process::blocks_queue(Side::Destination),
            ..ask.options.clone()
        };
        let prepared = prepare(root, path, ask, session, options.dry_run);
        let record = match prepared {
            Err((code, message)) => summary::of_failure(code, message, &setting()),
            Ok(Prepared {
                dir,
                was,
                listing,
                touched,
            }) => {
                let relay = Arc::new(Relay::new(ask.entries, {
                    let send = session.events();
                    move |events| {
                        // Who has gone needs no events; the run learns that by itself.
                        send(events);
                    }
                }));
                let (planes, publisher) = (session.planes(), session.progress());
                let zero_copy = session.bytes_zero_copy();
                let plane = move || {
                    let (plane, tried) = planes();
                    Plane {
                        transport: plane.as_str(),
                        zero_copy: zero_copy() > 0,
                        tried: tried.iter().map(Tried::to_wire).collect(),
                    }
                };
                let outputs = Outputs::default()
                    .with(Live::new(plane, move |update| publisher.publish(update)))
                    .with(Arc::clone(&relay));
                let deadline = limits.progress_deadline;
                let outputs = match deadline::watched(outputs, deadline, &cancel, who) {
                    Ok(outputs) => outputs,
                    Err(error) => {
                        let message = format!("the daemon cannot start a thread: {error}");
                        let code = ExitCode::OtherError;
                        let record = summary::of_failure(code, message, &setting());
                        finish(pushed, &record);
                        return self.end(&run_id);
                    }
                };
                let reception = Reception {
                    root: dir,
                    options: Options {
                        destination: was,
                        ..options
                    },
                    listing,
                    identity: RunIdentity {
                        run_id: run_id.clone(),
                        source: session.peer().display.clone(),
                        ..RunIdentity::default()
                    },
                    begun,
                    single_file: ask.single_file,
                };
                let record = reception.run(session, outputs, cancel);
                relay.flush();
                if let Some(dir) = touched.filter(|_| record.files_copied > 0) {
                    touch(&dir);
                }
                record
            }
        };
        tracing::info!(
            who,
            %path,
            result = record.result,
            copied = record.files_copied,
            deleted = record.files_deleted,
            failed = record.files_failed,
            "a push has ended"
        );
        finish(pushed, &record);
        self.end(&run_id);
    }

    /// Asks all sessions to end, and waits for them, for some time at most.
    pub(super) fn end_all(&self) {
        let mut running = self.lock();
        running.closing = true;
        for cancel in running.cancels.values() {
            cancel.cancel();
        }
        let waited =
            (self.ended).wait_timeout_while(running, GRACE, |running| !running.cancels.is_empty());
        let (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !running.cancels.is_empty() {
            tracing::warn!(
                sessions = running.cancels.len(),
                "some sessions did not end"
            );
        }
    }

    fn begin(&self, run_id: &str, cancel: &Cancel) {
        let mut running = self.lock();
        if running.closing {
            cancel.cancel();
        }
        running.cancels.insert(run_id.to_owned(), cancel.clone());
    }

    fn end(&self, run_id: &str) {
        self.lock().cancels.remove(run_id);
        self.ended.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the client the result; its session is over then.
fn finish(pushed: Pushed, record: &SummaryRecord) {
    let result = rpc::result(record);
    let record = serde_json::to_vec(record).unwrap_or_default();
    pushed.finish(blit_transport::destination::RunResult { record, ..result });
}

/// A session whose destination is open.
struct Prepared {
    dir: Dir,
    was: DestinationRoot,
    listing: Arc<dyn Listing>,
    /// Of one file that is to be written: its directory, which has been changed then although the run gives it back
    /// the time it had.
    touched: Option<Dir>,
}

/// Opens the destination, and gives one file its name.
fn prepare(
    root: &Dir,
    path: &RelPath,
    ask: &Ask,
    session: &Session,
    dry_run: bool,
) -> Result<Prepared, (ExitCode, String)> {
    let one = ask.single_file;
    if one && ask.options.operation == Operation::Mirror {
        let message = "a file cannot be mirrored, only a directory; push it without --mirror";
        return Err((ExitCode::Usage, message.to_owned()));
    }
    let place = place(root, path, one && !ask.into_directory, dry_run).map_err(|refusal| {
        let code = match &refusal {
            Refusal::Usage(_) => ExitCode::Usage,
            Refusal::Failed(_) => ExitCode::PermissionDenied,
        };
        (code, refusal.to_string())
    })?;
    let Place { dir, was, name } = place;
    if !one {
        return Ok(Prepared {
            dir,
            was,
            listing: session.listing(),
            touched: None,
        });
    }
    let name = name.unwrap_or_else(|| ask.file_name.clone().into());
    let there = was != DestinationRoot::Missing;
    let overlap = session.overlap(dir.as_fd());
    if there && *name == *ask.file_name && matches!(overlap, Ok(Some(Overlap::Same))) {
        let message = "source and destination are the same file; choose another destination";
        return Err((ExitCode::Usage, message.to_owned()));
    }
    let failed = |error: &dyn std::fmt::Display| {
        (
            ExitCode::OtherError,
            format!("cannot use `{path}` at the daemon: {error}"),
        )
    };
    let listing = OneFile::new(session.listing(), &dir, OsStr::from_bytes(&name));
    let touched = match dry_run {
        true => None,
        false => Some(dir.reopen().map_err(|errno| failed(&errno))?),
    };
    Ok(Prepared {
        listing: Arc::new(listing.map_err(|error| failed(&error))?),
        dir,
        was,
        touched,
    })
}

/// Where a run writes.
struct Place {
    dir: Dir,
    was: DestinationRoot,
    /// The name that one file gets, where it is not its own.
    name: Option<Box<[u8]>>,
}

/// Opens the directory to write to, and makes it with its missing parents; a dry run makes nothing. With `file`
/// the path is that of a file, unless there is a directory.
fn place(root: &Dir, path: &RelPath, file: bool, dry_run: bool) -> Result<Place, Refusal> {
    let open = |path: &RelPath, create| root.beneath(&path.to_path(), create);
    let there = |dir| {
        let was = DestinationRoot::Exists;
        Ok(Place {
            dir,
            was,
            name: None,
        })
    };
    let missing = match open(path, false) {
        Ok(dir) => return there(dir),
        Err(FsError {
            errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP,
            ..
        }) if file => true,
        Err(FsError {
            errno: Errno::NOENT,
            ..
        }) => false,
        Err(error) => return Err(refusal(path, error.errno)),
    };
    let (dir, name) = match path.split_last() {
        Some((above, name)) if missing => (above, Some(name.into())),
        _ => (path.clone(), None),
    };
    let made = match open(&dir, false) {
        Ok(dir) => (dir, DestinationRoot::Exists),
        Err(FsError {
            errno: Errno::NOENT,
            ..
        }) if dry_run => {
            let root = root.reopen().map_err(|errno| refusal(path, errno))?;
            (root, DestinationRoot::Missing)
        }
        Err(FsError {
            errno: Errno::NOENT,
            ..
        }) => {
            let made = open(&dir, true).map_err(|error| refusal(path, error.errno))?;
            (made, DestinationRoot::Made)
        }
        Err(error) => return Err(refusal(path, error.errno)),
    };
    Ok(Place {
        dir: made.0,
        was: made.1,
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_place_is_made_with_its_parents_and_a_dry_run_makes_nothing() {
        let work = tempfile::tempdir().unwrap();
        let root = Dir::open_root(work.path()).unwrap();
        let rehearsed = place(&root, &path("a/b"), false, true).unwrap();
        assert_eq!(rehearsed.was, DestinationRoot::Missing);
        assert!(!work.path().join("a").exists());
        let made = place(&root, &path("a/b"), false, false).unwrap();
        assert_eq!(made.was, DestinationRoot::Made);
        assert!(work.path().join("a/b").is_dir());
        let there = place(&root, &path("a/b"), false, false).unwrap();
        assert_eq!(there.was, DestinationRoot::Exists);
    }

    #[test]
    fn one_file_goes_into_a_directory_or_gets_the_name() {
        let work = tempfile::tempdir().unwrap();
        let root = Dir::open_root(work.path()).unwrap();
        let named = place(&root, &path("d/name"), true, false).unwrap();
        assert_eq!(
            (named.name.as_deref(), named.was),
            (Some(&b"name"[..]), DestinationRoot::Made)
        );
        assert!(!work.path().join("d/name").exists() && work.path().join("d").is_dir());
        let within = place(&root, &path("d"), true, false).unwrap();
        assert_eq!(within.name, None);
    }

    #[test]
    fn a_symbolic_link_leads_nowhere() {
        let (work, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), work.path().join("link")).unwrap();
        let root = Dir::open_root(work.path()).unwrap();
        for (to, file) in [("link", false), ("link/x", false), ("link/x", true)] {
            assert!(place(&root, &path(to), file, false).is_err(), "{to}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

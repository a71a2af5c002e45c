//! A mover as a child process: how it is started, what it says, how it is told to end.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::thread;

use blit_crds::mirrorjob::Side;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::pod::parent;
use crate::report::record::{Line, Record};

/// What reaches the run from its children and from the user.
#[derive(Debug)]
pub(super) enum Message {
    /// A mover reports an event.
    Event(Side, Record),
    /// A mover writes a line of diagnostics.
    Log(Side, String),
    /// A mover has ended, and all that it said has been delivered.
    Ended(Side, ExitStatus),
    /// The user asks to end; how often before.
    Interrupt(u32),
}

/// A mover that runs.
#[derive(Debug)]
pub(super) struct Child {
    /// Refers to this process and never to another one that got its number.
    pidfd: OwnedFd,
}

/// A mover cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the {side} mover: {source}")]
pub(super) struct SpawnError {
    side: &'static str,
    source: std::io::Error,
}

impl Child {
    /// Starts this program again as the mover of `side`. What it says goes to `messages`.
    ///
    /// Must be called on the main thread: the child ends when the thread that started it does.
    pub(super) fn spawn(
        side: Side,
        arguments: &[OsString],
        messages: &SyncSender<Message>,
    ) -> Result<Self, SpawnError> {
        let error = |source| SpawnError {
            side: side.as_str(),
            source,
        };
        let mut child = Command::new("/proc/self/exe")
            .arg0("blit")
            .args(arguments)
            .env(parent::VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at a terminal goes to a whole process group; a mover gets it from us, once.
            .process_group(0)
            .spawn()
            .map_err(error)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| error(std::io::ErrorKind::InvalidData.into()))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| {
            // Not waited for yet, so the number is still its own.
            let _ = child.kill();
            let _ = child.wait();
            error(errno.into())
        })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (events, logs) = (messages.clone(), messages.clone());
        let named = |what: &str| thread::Builder::new().name(format!("{}-{what}", side.as_str()));
        let log = named("log")
            .spawn(move || {
                for line in lines(stderr) {
                    let _ = logs.send(Message::Log(side, line));
                }
            })
            .map_err(error)?;
        let watch = move || {
            for line in lines(stdout) {
                let message = match serde_json::from_str::<Line>(&line) {
                    Ok(line) => Message::Event(side, line.record),
                    Err(_) => Message::Log(side, line),
                };
                let _ = events.send(message);
            }
            let _ = log.join();
            let status = child
                .wait()
                .unwrap_or_else(|_| ExitStatus::from_raw(1 << 8));
            let _ = events.send(Message::Ended(side, status));
        };
        named("events").spawn(watch).map_err(error)?;
        Ok(Self { pidfd })
    }

    /// Sends a signal; nothing happens if the mover has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }
}

impl Drop for Child {
    /// Whatever path the run takes, no mover outlives it.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Lines of a pipe until it closes; bytes that are not UTF-8 are replaced.
fn lines(pipe: Option<impl Read>) -> impl Iterator<Item = String> {
    pipe.into_iter().flat_map(|pipe| {
        let mut reader = BufReader::new(pipe);
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => None,
                Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            }
        })
    })
}

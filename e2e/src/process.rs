//! A program under watch: its output as it comes, its end without polling, its peak memory, its children.

mod pipe;
mod proc;

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{self, CpuSet};
use nix::sys::signal::Signal;
use nix::unistd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use wait4::Wait4;

use crate::error::{Error, Result};
use pipe::Pipe;
pub use proc::{Member, descendants, forget_own_peak, own_memory};

/// Patience with a program: far above what any test needs, so that only a hang meets it.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    handle: OwnedFd,
    stdout: Arc<Pipe>,
    stderr: Arc<Pipe>,
    ended: bool,
}

/// How a program ended and what it left.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line.
    pub line: String,
    /// Exit code, if it was not killed.
    pub code: Option<i32>,
    /// Signal that killed it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Largest resident memory in bytes, of the program or the largest of the children it waited for.
    /// The kernel counts what its parent held at the start, see [`forget_own_peak`].
    pub peak_memory: u64,
}

/// Starts a program with captured output and an empty input.
pub fn start(mut command: Command) -> Result<Running> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let line = format!("{command:?}");
    let failed = |source| Error::Start {
        program: line.clone(),
        package: "it belongs to",
        source,
    };
    let mut child = command.spawn().map_err(failed)?;
    let stdout = Pipe::read(child.stdout.take());
    let stderr = Pipe::read(child.stderr.take());
    let pid = Pid::from_child(&child);
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
        // Nobody will wait for it otherwise.
        let _ = child.kill();
        let _ = child.wait();
        failed(error.into())
    })?;
    Ok(Running {
        line,
        child,
        handle,
        stdout,
        stderr,
        ended: false,
    })
}

/// Runs a program to its end.
pub fn run(command: Command) -> Result<Finished> {
    start(command)?.finish()
}

/// From now on this thread, and the processes that it starts, use so many of the processors they may use, or as many as there are.
pub fn use_processors(count: usize) {
    let this = unistd::Pid::from_raw(0);
    let may_use = sched::sched_getaffinity(this).unwrap_or_default();
    let mut some = CpuSet::new();
    (0..CpuSet::count())
        .filter(|processor| may_use.is_set(*processor).unwrap_or(false))
        .take(count)
        .for_each(|processor| some.set(processor).unwrap_or_default());
    sched::sched_setaffinity(this, &some).unwrap_or_default();
}

/// Waits until a process that somebody else started has ended, at most so long; returns whether it has.
pub fn gone_within(id: u32, patience: Duration) -> bool {
    let pid = Pid::from_raw(id.cast_signed());
    // A process that cannot be opened is not there.
    pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .is_none_or(|handle| ended_within(&handle, patience))
}

impl Running {
    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; one that has ended already is left alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
            let _ = pidfd_send_signal(&self.handle, signal);
        }
    }

    /// Waits for the end, at most so long; returns whether it has ended.
    pub fn ended_within(&self, patience: Duration) -> bool {
        ended_within(&self.handle, patience)
    }

    /// Waits until a line of standard output satisfies the condition and returns it; `None` if the program
    /// ended without one.
    pub fn wait_for_line(
        &self,
        what: &str,
        condition: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        self.stdout
            .wait_for_line(PATIENCE, condition)
            .map_err(|()| self.too_late(what))
    }

    /// Waits until the condition holds; returns false if the program ended before.
    ///
    /// For what the kernel cannot announce; the wait between two looks is a wait for the end.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) -> Result<bool> {
        let start = Instant::now();
        while !condition() {
            if self.ended_within(Duration::from_millis(1)) {
                return Ok(condition());
            }
            if start.elapsed() > PATIENCE {
                return Err(self.too_late(what));
            }
        }
        Ok(true)
    }

    /// Waits for the end and returns everything; a program that does not end is killed and an error.
    pub fn finish(self) -> Result<Finished> {
        self.finish_within(PATIENCE)
    }

    /// As [`finish`](Self::finish), with a patience of its own.
    pub fn finish_within(mut self, patience: Duration) -> Result<Finished> {
        if !self.ended_within(patience) {
            return Err(self.too_late("end"));
        }
        let used = self.child.wait4().map_err(|source| Error::Path {
            action: "wait for",
            path: self.line.clone(),
            source,
        })?;
        self.ended = true;
        Ok(Finished {
            line: self.line.clone(),
            code: used.status.code(),
            signal: used.status.signal(),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
            peak_memory: used.rusage.maxrss,
        })
    }
}

impl Running {
    fn too_late(&self, what: &str) -> Error {
        Error::Deadline {
            program: self.line.clone(),
            what: what.into(),
            seconds: PATIENCE.as_secs(),
            stdout: tail(&self.stdout.so_far()),
            stderr: tail(&self.stderr.so_far()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = pidfd_send_signal(&self.handle, rustix::process::Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    /// Returns standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Panics with everything the program said unless it ended with this exit code.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert!(
            self.code == Some(code),
            "{} ended with {:?} (signal {:?}), not {code}\nstdout: {}\nstderr: {}",
            self.line,
            self.code,
            self.signal,
            tail(&self.stdout),
            tail(&self.stderr)
        );
        self
    }
}

fn ended_within(handle: &OwnedFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // No program runs for so long that the time does not fit.
        let timeout = Timespec::try_from(left).ok();
        let mut handles = [PollFd::new(handle, PollFlags::IN)];
        match poll(&mut handles, timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Returns the last part of an output for a message.
fn tail(output: &[u8]) -> String {
    /// Bytes: enough for the reason, not for a listing.
    const SHOWN: usize = 6000;
    String::from_utf8_lossy(&output[output.len().saturating_sub(SHOWN)..]).into_owned()
}

#[cfg(test)]
mod tests;

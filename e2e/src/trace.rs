//! The system calls of a program, as strace tells them.

use std::ffi::OsStr;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::error::{Context, Result};
use crate::process::{Finished, run};

/// What a program asked of the kernel while it ran.
#[derive(Debug)]
pub struct Traced {
    /// How the program ended; strace passes its exit code on.
    pub finished: Finished,
    /// The calls in the order in which they began.
    pub calls: Vec<Call>,
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Thread that made it.
    pub thread: u32,
    /// Name of the call.
    pub name: String,
    /// Arguments and result; descriptors are followed by their paths. Cut short at the arguments if
    /// another thread's call came between.
    pub text: String,
}

/// Runs a program with all its threads and children under strace, which records the named calls
/// (a list as for `strace -e trace=`; `?` before a name that strace may not know).
pub fn run_traced(command: &Command, calls: &str) -> Result<Traced> {
    let place = std::env::temp_dir();
    let record = NamedTempFile::with_prefix("blit-strace-").context("make a file in", &place)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "0", "-e", "signal=none", "-e"]);
    strace
        .arg(format!("trace={calls}"))
        .arg("-o")
        .arg(record.path());
    strace
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        let value = value.map(OsStr::to_os_string);
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        strace.current_dir(directory);
    }
    let finished = run(strace)?;
    let text = std::fs::read(record.path()).context("read", record.path())?;
    let text = String::from_utf8_lossy(&text);
    // strace records what it has no name for too: calls that are newer than itself.
    let asked = |call: &Call| {
        let mut names = calls.split(',').map(|name| name.trim_start_matches('?'));
        names.any(|name| name == call.name)
    };
    let calls = text.lines().filter_map(parse).filter(asked).collect();
    Ok(Traced { finished, calls })
}

impl Traced {
    /// Counts the calls of this name.
    pub fn count(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| call.name == name).count()
    }
}

/// Parses a line of the record: a thread, a name, the rest. `None` for the second half of a call.
fn parse(line: &str) -> Option<Call> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, text) = rest.trim_start().split_once('(')?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(())?;
    Some(Call {
        thread: thread.parse().ok()?,
        name: name.into(),
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_with_the_paths_of_their_descriptors() {
        let mut command = Command::new("cat");
        command.arg("/etc/hostname");
        let traced = run_traced(&command, "read,connect").unwrap();
        traced.finished.expect_code(0);
        assert_eq!(traced.count("connect"), 0);
        let reads = |call: &&Call| call.name == "read" && call.text.contains("</etc/hostname>");
        assert!(
            traced.calls.iter().find(reads).is_some(),
            "{:?}",
            traced.calls
        );
    }

    #[test]
    fn a_call_that_was_interrupted_by_another_thread_counts_once() {
        let first = parse("12 sendfile(5</a>, 6</b>, NULL, 9 <unfinished ...>").unwrap();
        assert_eq!((first.thread, first.name.as_str()), (12, "sendfile"));
        assert_eq!(parse("12 <... sendfile resumed>) = 9"), None);
        assert_eq!(parse("12 +++ exited with 0 +++"), None);
    }
}

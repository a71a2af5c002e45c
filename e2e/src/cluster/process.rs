//! Processes of pods. Nodes share the process ids of this machine, so they can be signalled from here.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::error::{Error, Result};

/// What holds the namespaces of a pod in the clusters of the tests.
const PAUSE: &str = "/bin/sleep infinity";

/// A process of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id on this machine.
    pub id: i32,
    /// Its command line.
    pub line: String,
}

/// Returns the processes of the pod with this UID, without the one that only holds its namespaces.
pub fn of_pod(uid: &str) -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").map_err(Error::io("list /proc"))?;
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // The systemd driver writes the UID with underscores.
    let names = [uid.to_owned(), uid.replace('-', "_")];
    Ok(ids
        .filter(|id: &i32| {
            let groups = fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
            names.iter().any(|name| groups.contains(name.as_str()))
        })
        .filter_map(|id| {
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let line = line.trim().to_owned();
            (!line.is_empty() && line != PAUSE).then_some(Process { id, line })
        })
        .collect())
}

impl Process {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.id), signal)
            .map_err(|errno| Error::io(format!("signal {self:?}"))(errno.into()))
    }

    /// Returns the resident memory in bytes.
    pub fn memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id);
        let status = fs::read_to_string(&path).map_err(Error::io(path))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.unwrap_or(0) * 1024)
    }
}

//! What `/proc` says about processes.

use std::collections::HashMap;
use std::fs;

/// A process below another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Process id.
    pub id: u32,
    /// Its arguments, the program first.
    pub arguments: Vec<String>,
}

/// Returns the children of a process, their children, and so on; those that have ended are not there.
pub fn descendants(id: u32) -> Vec<Member> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(parent) = living_parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![id];
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let arguments = line
                .split(|byte| *byte == 0)
                .filter(|argument| !argument.is_empty());
            found.push(Member {
                id: child,
                arguments: arguments
                    .map(|a| String::from_utf8_lossy(a).into_owned())
                    .collect(),
            });
            open.push(child);
        }
    }
    found
}

/// Makes the kernel forget the peak memory of this process, so that the next child does not inherit it:
/// `ru_maxrss` survives `execve` and then counts what the parent held when it started the child.
pub fn forget_own_peak() -> std::io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}

/// Returns the resident memory of this process in bytes; a child's `ru_maxrss` is never below it.
pub fn own_memory() -> std::io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    kib.map(|kib: u64| kib * 1024)
        .ok_or_else(|| std::io::Error::other("no VmRSS in /proc"))
}

/// Returns the parent of a process that has not ended.
fn living_parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(parent)
}

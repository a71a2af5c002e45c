//! The first judge: what would rsync still do?

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::Options;
use crate::error::{Error, Result};

/// Returns what rsync would change, one line for each entry; nothing for an exact mirror.
///
/// A dry run over content (`c`), hard links, ACLs, extended attributes and nanoseconds.
pub fn differences(source: &Path, destination: &Path, options: &Options) -> Result<Vec<String>> {
    let mut command = Command::new("rsync");
    command.arg("-naHAXc");
    // -1 compares nanoseconds; without it rsync compares whole seconds.
    if options.time_granule < 1_000_000_000 {
        command.arg("--modify-window=-1");
    }
    command.args(["--delete", "--itemize-changes"]);
    command.arg(content_of(source)).arg(content_of(destination));
    let output = command.output().map_err(|source| Error::Start {
        program: "rsync".into(),
        package: "rsync",
        source,
    })?;
    if !output.status.success() {
        return Err(Error::Tool {
            program: format!("{command:?}"),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    let lines = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    Ok(lines.map(|line| line.escape_ascii().to_string()).collect())
}

/// Returns the path with a final slash, which makes rsync take what is in the directory.
fn content_of(directory: &Path) -> OsString {
    let mut path = directory.as_os_str().to_os_string();
    if !path.as_bytes().ends_with(b"/") {
        path.push("/");
    }
    path
}

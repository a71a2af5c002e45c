//! How tests call the program and read what it prints.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use blit::report::record::EntryPath;
use blit_e2e::process::{Finished, Running, run};
use serde_json::Value;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_blit");

/// The two ways of one mirror: every promise about trees holds for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `blit mirror SRC DST`.
    Local,
    /// `blit run -f MANIFEST`: two movers and the real protocol.
    Run,
}

/// A mirror to be made.
#[derive(Clone, Debug)]
pub(crate) struct Mirror<'a> {
    /// How.
    pub(crate) way: Way,
    /// From where.
    pub(crate) source: &'a Path,
    /// To where.
    pub(crate) destination: &'a Path,
    /// Where a manifest may be written.
    pub(crate) work: &'a Path,
}

impl Mirror<'_> {
    /// Returns the command that mirrors whatever the source holds, with events on stdout.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        match self.way {
            Way::Local => {
                command.args([
                    "mirror",
                    "--json",
                    "--max-delete",
                    "100%",
                    "--allow-empty-source",
                ]);
                command.arg(self.source).arg(self.destination);
            }
            Way::Run => {
                let deletion = "deletion: {maxDelete: \"100%\", allowEmptySource: true}";
                let manifest = manifest(self.work, &spec("Mirror", deletion));
                command.args(["run", "--json", "-f"]).arg(manifest);
                command.arg("--volume").arg(volume("source", self.source));
                command
                    .arg("--volume")
                    .arg(volume("destination", self.destination));
            }
        }
        command
    }

    /// Mirrors, expects complete success and returns the summary.
    #[track_caller]
    pub(crate) fn complete(&self) -> Value {
        let finished = run(self.command()).unwrap();
        finished.expect_code(0);
        summary(&finished)
    }
}

/// Returns a command with these arguments.
pub(crate) fn blit(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

/// Returns the spec of a job between the claims `source` and `destination`, with more lines.
pub(crate) fn spec(operation: &str, more: &str) -> String {
    format!(
        "  operation: {operation}\n  \
         source: {{persistentVolumeClaim: {{claimName: source}}}}\n  \
         destination: {{persistentVolumeClaim: {{claimName: destination}}}}\n  {more}\n"
    )
}

/// Somebody without rights.
pub(crate) const NOBODY: u32 = 65_534;

/// Returns the same command for [`NOBODY`], run from a copy of the program in `place`: the folder in which it was built may be closed
/// to others.
pub(crate) fn as_nobody(command: &Command, place: &Path) -> Command {
    let temporary = std::env::temp_dir();
    for directory in place.ancestors().take_while(|at| *at != temporary) {
        let mode = std::fs::metadata(directory).unwrap().permissions().mode();
        std::fs::set_permissions(directory, Permissions::from_mode(mode | 0o055)).unwrap();
    }
    let program = place.join("program");
    if !program.exists() {
        // A process of its own copies: a file that this one has open for writing while another test starts a program would be busy.
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    let mut other = Command::new(program);
    other.args(command.get_args()).uid(NOBODY).gid(NOBODY);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        other.current_dir(directory);
    }
    other
}

/// Writes a manifest with this spec and returns its path.
pub(crate) fn manifest(work: &Path, spec: &str) -> PathBuf {
    let path = work.join("mirrorjob.yaml");
    let head = "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {name: test}\nspec:\n";
    std::fs::write(&path, format!("{head}{spec}")).unwrap();
    path
}

/// Returns the value of `--volume`.
pub(crate) fn volume(claim: &str, directory: &Path) -> std::ffi::OsString {
    let mut value = std::ffi::OsString::from(format!("{claim}="));
    value.push(directory);
    value
}

/// Waits until so many bytes have arrived in a directory; the program must not end before.
#[track_caller]
pub(crate) fn wait_for_bytes(running: &Running, directory: &Path, bytes: u64) {
    let arrived = || {
        let entries = std::fs::read_dir(directory).unwrap();
        let blocks = entries.filter_map(|entry| entry.ok()?.metadata().ok());
        blocks.map(|meta| meta.blocks() * 512).sum::<u64>() >= bytes
    };
    let there = running.wait_until("receive", arrived).unwrap();
    assert!(there, "it ended before {bytes} bytes had arrived");
}

/// Returns the last event, which must be the summary.
#[track_caller]
pub(crate) fn summary(finished: &Finished) -> Value {
    // A large run has hundreds of megabytes of events, which nobody needs at once.
    let lines = finished.stdout.trim_ascii_end();
    let last = lines
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let event: Value = serde_json::from_slice(last).unwrap_or_default();
    assert_eq!(
        event["type"],
        "summary",
        "the last line is {}\nstderr: {}",
        last.escape_ascii(),
        finished.stderr()
    );
    event
}

/// Returns all events of a run with `--json`.
pub(crate) fn events(finished: &Finished) -> Vec<Value> {
    let lines = finished.stdout.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Returns the path that an event is about, as bytes.
pub(crate) fn path_of(event: &Value) -> Vec<u8> {
    let path: EntryPath = serde_json::from_value(event.clone()).unwrap();
    path.bytes().unwrap()
}

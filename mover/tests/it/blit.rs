//! How tests call the program and read what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;

use blit::report::record::EntryPath;
use blit_e2e::process::{Finished, run};
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

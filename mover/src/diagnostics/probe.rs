//! `blit diagnostics probe`: what this kernel, sandbox and directory allow, and what Blit does where it is
//! not allowed.

use std::io::{self, Write};
use std::path::Path;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::probe::{Answer, Check, probe};
use blit_engine::fs::{Dir, Errno};
use blit_engine::run::new_run_id;
use blit_transport::data::kernel_tls;
use serde::Serialize;

use super::table::{Align, table};
use crate::history::place::kind_at;
use crate::report::terminal::say;

/// Name of the schema of the answers for programs.
const SCHEMA: &str = "blit.probe/v1";

/// Everything that was found.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    schema: &'static str,
    kernel: String,
    machine: String,
    file_system: String,
    /// Processors that this process may keep busy, by affinity and by its cgroup.
    cpus: usize,
    /// `none`, `strict` or `filter`; empty if the kernel does not tell.
    seccomp: String,
    no_new_privileges: Option<bool>,
    user: u32,
    checks: Vec<Finding>,
}

/// The answer to one check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Finding {
    name: &'static str,
    /// Null: it could not be tried.
    available: Option<bool>,
    /// The kernel's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What Blit does without.
    #[serde(skip)]
    without: &'static str,
}

/// Looks at a directory, in which a folder is made and removed for that, and prints what was found.
pub fn run(directory: &Path, json: bool) -> ExitCode {
    let dir = match Dir::open_root(directory) {
        Ok(dir) => dir,
        Err(error) => {
            let code = match error.errno {
                Errno::NOENT | Errno::NOTDIR => ExitCode::Usage,
                _ => ExitCode::PermissionDenied,
            };
            say(&format!(
                "error: {error}; name a directory that you may write to"
            ));
            return code;
        }
    };
    let findings = Findings::of(&dir, directory);
    let text = if json {
        serde_json::to_string(&findings).unwrap_or_default() + "\n"
    } else {
        findings.describe()
    };
    // A reader that went away has what it wanted.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::Complete
}

impl Findings {
    fn of(dir: &Dir, directory: &Path) -> Self {
        let system = rustix::system::uname();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        Self {
            schema: SCHEMA,
            kernel: system.release().to_string_lossy().into_owned(),
            machine: system.machine().to_string_lossy().into_owned(),
            file_system: kind_at(directory),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            seccomp: match field(&status, "Seccomp:") {
                Some("0") => "none",
                Some("1") => "strict",
                Some("2") => "filter",
                _ => "",
            }
            .to_owned(),
            no_new_privileges: field(&status, "NoNewPrivs:").map(|value| value == "1"),
            user: rustix::process::geteuid().as_raw(),
            checks: probe(dir, &new_run_id())
                .into_iter()
                .map(|(check, answer)| finding(check, answer))
                .chain([kernel_tls()])
                .collect(),
        }
    }

    fn describe(&self) -> String {
        let or_unknown = |text: &str| {
            if text.is_empty() {
                "?".to_owned()
            } else {
                text.to_owned()
            }
        };
        let facts = [
            (
                "kernel",
                format!("Linux {} ({})", self.kernel, self.machine),
            ),
            ("file system", or_unknown(&self.file_system)),
            ("processors", format!("{} for this process", self.cpus)),
            ("seccomp", or_unknown(&self.seccomp)),
            (
                "new privileges",
                match self.no_new_privileges {
                    Some(true) => "never",
                    Some(false) => "possible",
                    None => "?",
                }
                .to_owned(),
            ),
            ("user", self.user.to_string()),
        ];
        let rows = facts.map(|(name, fact)| vec![name.to_owned(), fact, String::new()]);
        let checks = self.checks.iter().map(|check| {
            let here = match (check.available, &check.reason) {
                (Some(true), _) => "yes".to_owned(),
                (Some(false), None) => "no".to_owned(),
                (Some(false), Some(reason)) => format!("no: {reason}"),
                (None, reason) => format!("not tried: {}", reason.as_deref().unwrap_or("?")),
            };
            let without = match check.available {
                Some(true) => "",
                _ => check.without,
            };
            vec![check.name.to_owned(), here, without.to_owned()]
        });
        let rows: Vec<_> = rows.into_iter().chain(checks).collect();
        let heading = [
            ("what", Align::Left),
            ("here", Align::Left),
            ("what Blit does without", Align::Left),
        ];
        table(&heading, &rows)
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Says whether the kernel speaks TLS for this process.
fn kernel_tls() -> Finding {
    let refusal = kernel_tls::probe().err();
    Finding {
        name: "kernel TLS",
        available: Some(refusal.is_none()),
        reason: refusal.map(|refusal| refusal.to_string()),
        without: "encrypts in its own memory, with --encryption all",
    }
}

fn finding(check: Check, answer: Answer) -> Finding {
    let (name, without) = match check {
        Check::OpenAt2 => ("openat2", "opens a path one name after the other"),
        Check::ListXattrAt => ("listxattrat", "opens each file to read its attributes"),
        Check::MountId => (
            "statx mount id",
            "takes directories on mounts of one file system for one tree",
        ),
        Check::Clone => ("FICLONE", "copies content that could be shared"),
        Check::CopyFileRange => ("copy_file_range", "sendfile, or reads and writes"),
        Check::Holes => ("holes", "writes zeros"),
        Check::TmpFile => ("O_TMPFILE", "makes files under temporary names, as always"),
        Check::RenameFlags => (
            "renameat2 flags",
            "cannot replace a directory by a file in one step",
        ),
        Check::Nanoseconds => ("nanoseconds", "compares times as they are kept here"),
        Check::Chown => ("chown", "keeps its own user and reports the owners"),
        Check::Mknod => ("mknod", "leaves out devices and reports them"),
        Check::UserXattr => ("user.* attributes", "leaves them out and reports them"),
        Check::TrustedXattr => ("trusted.* attributes", "leaves them out and reports them"),
    };
    let (available, reason) = match answer {
        Answer::Yes => (Some(true), None),
        Answer::No(errno) => (Some(false), errno),
        Answer::Untried(errno) => (None, Some(errno)),
    };
    Finding {
        name,
        available,
        reason: reason.map(|errno| errno.to_string()),
        without,
    }
}

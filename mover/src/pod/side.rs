//! What both sides do alike: outputs, the root, signals, and the end.

use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::mirrorjob::Side;
use blit_crds::outcome::ExitCode;
use blit_engine::fs::Dir;
use blit_engine::fs::dir::display_path;
use blit_engine::run::new_run_id;

use super::error::PodError;
use super::parent;
use crate::cli::SideArgs;
use crate::logging;
use crate::process::peak_memory;
use crate::report::json::JsonLines;
use crate::report::output::{Output, Outputs};
use crate::report::record::{Record, SummaryRecord};
use crate::report::summary::{self, Setting};
use crate::report::terminal::{Screen, Style, Terminal};
use crate::report::termination;
use crate::roots::{self, RootError};
use crate::signals::Signals;

/// A mover under way.
#[derive(Clone)]
pub(super) struct Mover {
    /// Id of the run.
    pub run_id: String,
    /// Where events go.
    pub output: Arc<Outputs>,
    side: Side,
    args: SideArgs,
    started: Instant,
}

impl Mover {
    /// Begins: from now on events go to stdout and diagnostics to stderr. `started` is when the process
    /// began.
    pub(super) fn new(side: Side, args: SideArgs, started: Instant) -> Self {
        let run_id = new_run_id();
        let screen = Screen::new(Style::Hidden);
        logging::init(&screen, 1);
        // A line for every entry would fill the log of a pod.
        let json = JsonLines::new(Box::new(std::io::stdout()), run_id.clone(), false);
        let output = Outputs::default()
            .with(Terminal::new(screen, false, false))
            .with(json);
        Self {
            run_id,
            output: Arc::new(output),
            side,
            args,
            started,
        }
    }

    /// Does what must come before the first thread.
    pub(super) fn prepare(&self) -> Result<Signals, PodError> {
        let signals = Signals::block().map_err(std::io::Error::from)?;
        parent::follow()?;
        Ok(signals)
    }

    /// Opens the directory of this side.
    pub(super) fn root(&self) -> Result<Dir, PodError> {
        let (role, create) = match self.side {
            Side::Source => ("the source", false),
            Side::Destination => ("the destination", true),
        };
        let volume = match roots::open_source(&self.args.root) {
            // The volume is what is missing, whatever side it is.
            Err(RootError::NotDirectory { path, .. }) => {
                return Err(RootError::NotDirectory { role, path }.into());
            }
            other => other?,
        };
        Ok(roots::open_within(
            &volume,
            &self.args.path,
            &self.named(),
            role,
            create,
        )?)
    }

    /// Returns the root as messages call it.
    pub(super) fn display(&self) -> String {
        display_path(&self.named())
    }

    fn named(&self) -> PathBuf {
        let below = self.args.path.strip_prefix("/").unwrap_or(&self.args.path);
        if below.as_os_str().is_empty() {
            self.args.root.clone()
        } else {
            self.args.root.join(below)
        }
    }

    /// Returns what the engine does not know. The time to the first byte begins at `since`.
    pub(super) fn setting(&self, since: Option<Instant>, bytes_sent: u64) -> Setting {
        Setting {
            since: since.unwrap_or(self.started),
            transport: "TCP",
            bytes_sent,
            peak_memory: peak_memory(),
        }
    }

    /// Ends: the last event, the termination message, the exit code.
    pub(super) fn finish(&self, ended: Result<SummaryRecord, PodError>) -> process::ExitCode {
        let (record, cause) = match ended {
            Ok(record) => (record, None),
            // Nothing below the root has been looked at, so this names nothing there.
            Err(error) => {
                let (code, setting) = (error.exit_code(), self.setting(None, 0));
                let record = summary::of_failure(code, error.to_string(), &setting);
                (record, Some(error.to_string()))
            }
        };
        self.last_word(&record, cause.as_deref());
        record.code().into()
    }

    /// Ends at once, when threads that are stuck cannot be waited for.
    pub(super) fn give_up(&self, code: ExitCode) -> ! {
        let message = format!("{}; {}", code.meaning(), code.remedy());
        self.last_word(
            &summary::of_failure(code, message, &self.setting(None, 0)),
            None,
        );
        process::exit(code.code().into())
    }

    fn last_word(&self, record: &SummaryRecord, cause: Option<&str>) {
        if let Some(file) = &self.args.termination_message {
            let written = termination::message(self.side, record, cause)
                .to_json()
                .map_err(std::io::Error::from)
                .and_then(|json| std::fs::write(file, json));
            if let Err(error) = written {
                let file = display_path(file);
                tracing::warn!(%error, file, "cannot write the termination message");
            }
        }
        self.output.take(&Record::Summary(Box::new(record.clone())));
    }
}

//! The destination of a session, whoever dialled and whoever asked: from a session that is open to the summary of
//! the run.
//!
//! Invariant: a root that lies in the source's way is refused before anything is written.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use blit_crds::outcome::ExitCode;
use blit_engine::fs::Dir;
use blit_engine::run::{self, Cancel, DestinationRoot, Job, Listing, Options, RunIdentity};
use blit_transport::destination::Session;

use crate::process::peak_memory;
use crate::report::output::Outputs;
use crate::report::record::SummaryRecord;
use crate::report::reporter::Reporter;
use crate::report::status;
use crate::report::summary::{self, Setting};

/// What is run with a session.
pub(crate) struct Reception {
    /// Root of the destination.
    pub(crate) root: Dir,
    /// How to run; with what the root was before.
    pub(crate) options: Options,
    /// What the source holds: that of the session, or that seen through something.
    pub(crate) listing: Arc<dyn Listing>,
    /// Who this is.
    pub(crate) identity: RunIdentity,
    /// When the session began.
    pub(crate) begun: Instant,
    /// The source is one file: the directory that holds it may be in the way of nothing.
    pub(crate) single_file: bool,
}

impl Reception {
    /// Runs the engine on what the source sends; the caller tells the session the result.
    pub(crate) fn run(self, session: &Session, outputs: Outputs, cancel: Cancel) -> SummaryRecord {
        let since = self.begun;
        let setting = |bytes_sent| Setting {
            since,
            transport: session.figures().transport,
            bytes_sent,
            peak_memory: peak_memory(),
        };
        let overlap = match self.options.destination {
            // What lies in the way of each other was judged by who asked; there is nothing to look at.
            DestinationRoot::Missing => Ok(None),
            _ if self.single_file => Ok(None),
            _ => session.overlap(self.root.as_fd()),
        };
        match overlap {
            Ok(None) => {}
            Ok(Some(overlap)) => {
                return summary::of_failure(ExitCode::Usage, overlap.to_string(), &setting(0));
            }
            Err(error) => {
                let message = format!("cannot see where the destination lies: {error}");
                return summary::of_failure(ExitCode::OtherError, message, &setting(0));
            }
        }
        let job = Job {
            destination: self.root,
            listing: self.listing,
            content: session.content(),
            options: self.options,
            identity: self.identity,
        };
        let ended = run::run(job, Arc::new(Reporter::new(outputs)), cancel);
        let figures = session.figures();
        SummaryRecord {
            zero_copy_share: (figures.bytes_received > 0).then(|| figures.zero_copy_share()),
            tried: status::all_tried(&figures.tried),
            ..summary::of_run(&ended, &setting(figures.bytes_received))
        }
    }
}

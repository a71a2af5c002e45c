//! Signals that ask the program to end.
//!
//! They are blocked in all threads and taken by one that waits for them, so nothing runs in a signal
//! handler. Children start with an empty mask (the standard library sees to it).

use blit_crds::outcome::ExitCode;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

/// Signals that are blocked and wait to be taken.
#[derive(Debug)]
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Blocks SIGINT and SIGTERM. Call it before the first thread is made, which inherits this.
    pub(crate) fn block() -> Result<Self, Errno> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Calls `asked` from a thread of its own for every signal, with the signal and how many came before.
    pub(crate) fn watch(
        self,
        mut asked: impl FnMut(Signal, u32) + Send + 'static,
    ) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut before = 0;
                while let Ok(signal) = self.0.wait() {
                    asked(signal, before);
                    before += 1;
                }
            })?;
        Ok(())
    }

    /// Calls `cancel` for the first signal, and ends the process at the second.
    pub(crate) fn cancel_then_exit(
        self,
        cancel: impl Fn() + Send + 'static,
    ) -> std::io::Result<()> {
        self.watch(move |signal, before| {
            if before > 0 {
                exit_at_once();
            }
            tracing::info!(%signal, "ending the run; a second signal ends it at once");
            cancel();
        })
    }
}

/// Ends the process without putting anything away, as a second signal asks.
#[expect(clippy::exit, reason = "this is what the second signal is for")]
pub(crate) fn exit_at_once() -> ! {
    std::process::exit(ExitCode::Interrupted.code().into())
}

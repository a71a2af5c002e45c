//! Diagnostics for those who debug: tracing to stderr, above the progress line.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::report::terminal::Screen;

/// Sends diagnostics to `screen`. What is said is up to `RUST_LOG`, or else to how often `-v` was given.
pub(crate) fn init(screen: &Screen, verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(ScreenWriter(screen.clone()))
        .with_ansi(false)
        .with_target(verbose > 1);
    // A test that runs several commands in one process has set it already; the first one stays.
    let _ = subscriber.try_init();
}

struct ScreenWriter(Screen);

impl<'a> MakeWriter<'a> for ScreenWriter {
    type Writer = Line;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            screen: self.0.clone(),
            bytes: Vec::new(),
        }
    }
}

/// Collects one message, so that it reaches the screen in one piece.
struct Line {
    screen: Screen,
    bytes: Vec<u8>,
}

impl io::Write for Line {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.screen.write(&self.bytes);
    }
}

//! Where events go: the trait that every kind of output implements.

use super::record::Record;

/// Takes events, from any thread; must not block for long.
pub trait Output: Send + Sync {
    /// Returns true if changed entries are wanted too. There may be hundreds of thousands, so they are not
    /// even put together when nobody wants them.
    fn wants_entries(&self) -> bool {
        false
    }

    /// Takes one event.
    fn take(&self, record: &Record);
}

/// Several outputs that get the same events in the same order.
#[derive(Default)]
pub struct Outputs(Vec<Box<dyn Output>>);

impl Outputs {
    /// Adds an output.
    #[must_use]
    pub fn with(mut self, output: impl Output + 'static) -> Self {
        self.0.push(Box::new(output));
        self
    }
}

impl Output for Outputs {
    fn wants_entries(&self) -> bool {
        self.0.iter().any(|output| output.wants_entries())
    }

    fn take(&self, record: &Record) {
        for output in &self.0 {
            output.take(record);
        }
    }
}

impl<O: Output> Output for std::sync::Arc<O> {
    fn wants_entries(&self) -> bool {
        (**self).wants_entries()
    }

    fn take(&self, record: &Record) {
        (**self).take(record);
    }
}

/// An output that is a function of the figures: a progress RPC, a watchdog.
pub struct OnFigures<F>(pub F);

impl<F: Fn(&super::figures::Figures) + Send + Sync> Output for OnFigures<F> {
    fn take(&self, record: &Record) {
        if let Record::Progress(figures) = record {
            (self.0)(figures);
        }
    }
}

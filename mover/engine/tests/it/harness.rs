//! A source and a destination in a temporary directory, and a run between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_engine::fs::Dir;
use blit_engine::run::{
    Cancel, Content, Events, Job, Operation, Options, RunIdentity, Summary, run,
};
use blit_engine::tree::{LocalSource, ScanOptions};

pub(crate) struct Pair {
    _temp: tempfile::TempDir,
    pub(crate) source: PathBuf,
    pub(crate) destination: PathBuf,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (source, destination) = (temp.path().join("s"), temp.path().join("d"));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&destination).unwrap();
        Self {
            _temp: temp,
            source,
            destination,
        }
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        write(&self.source.join(path), content);
    }

    pub(crate) fn write_destination(&self, path: &str, content: &str) {
        write(&self.destination.join(path), content);
    }

    pub(crate) fn mirror(&self) -> Summary {
        self.run(Options {
            operation: Operation::Mirror,
            ..Options::default()
        })
    }

    pub(crate) fn copy(&self) -> Summary {
        self.run(Options::default())
    }

    pub(crate) fn run(&self, options: Options) -> Summary {
        self.run_as(RunIdentity::default(), options, Arc::new(()), Cancel::new())
    }

    pub(crate) fn run_as(
        &self,
        identity: RunIdentity,
        options: Options,
        events: Arc<dyn Events>,
        cancel: Cancel,
    ) -> Summary {
        let source = LocalSource::open(&self.source, ScanOptions::default()).unwrap();
        let job = Job {
            destination: Dir::open_root(&self.destination).unwrap(),
            listing: Arc::clone(&source) as _,
            content: Content::Handles(source),
            options,
            identity,
        };
        run(job, events, cancel)
    }

    /// Fails unless rsync sees no difference.
    pub(crate) fn assert_mirrored(&self) {
        let output = std::process::Command::new("rsync")
            .args(["-naHAXc", "--modify-window=-1", "--delete", "-i"])
            .arg(format!("{}/", self.source.display()))
            .arg(format!("{}/", self.destination.display()))
            .output()
            .expect("rsync is the oracle of these tests and must be installed");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.is_empty(),
            "rsync would change:\n{text}"
        );
    }
}

fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

//! A large file whose content arrives and that an earlier run had begun: what lies at the destination is believed in
//! nothing, whoever put it there.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use blit_engine::entry::{DirId, Entry};
use blit_engine::fs::Dir;
use blit_engine::fs::blocks::{BLOCK, HOLE, blocks, hash_of};
use blit_engine::fs::dir::stat_fd;
use blit_engine::run::{
    Arrivals, Cancel, Content, End, Job, Listing, Next, Options, Part, PartWant, ReadStatus,
    RunIdentity, SourceError, Summary, Tail, Want, Wanted, Wants, new_run_id, run,
};

const SIZE: u64 = 64 << 20;

/// The block that matters.
const AT: u64 = 5 * BLOCK;

/// What the file has nowhere.
const WRONG: u8 = 0xee;

/// What the source does.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// Sends a wrong block, and is gone.
    Dies,
    /// Has a file that is one hole; but of a block it says that it is zeros, as of one that was allocated and never written
    /// and is in memory, and when it is to send it, it is a hole again.
    Forgets,
    /// Has a file that is longer than any file system here can have one.
    Exceeds,
}

/// A source that has one file, in which is nothing.
struct Source {
    root: Entry,
    file: Entry,
    does: Does,
    arrivals: Arc<Arrivals>,
    listed: AtomicBool,
    asked_whole: AtomicU32,
    asked_parts: AtomicU32,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Source {
    fn answer_later(self: &Arc<Self>, answer: impl FnOnce(&Self) + Send + 'static) {
        let source = Arc::clone(self);
        let thread = std::thread::spawn(move || answer(&source));
        self.threads.lock().unwrap().push(thread);
    }

    fn send(&self, id: u64) {
        if self.does == Does::Exceeds {
            if let Some(incoming) = self.arrivals.incoming(id) {
                let _ = incoming.write_at(&block_of(WRONG), AT);
                incoming.arrived(BLOCK);
            }
            let bytes = BLOCK;
            return self.arrivals.end(id, Tail { bytes, ..stable() });
        }
        let incoming = self.arrivals.incoming(id).unwrap();
        if self.does == Does::Dies {
            incoming.write_at(&block_of(WRONG), AT).unwrap();
            incoming.arrived(BLOCK);
            return self
                .arrivals
                .disconnect(SourceError::Lost("it died".to_owned()));
        }
        self.arrivals.end(id, stable());
    }

    fn answer(&self, want: &PartWant) {
        match &want.what {
            Wanted::Ranges(_) => self.arrivals.end(want.id, stable()),
            Wanted::Blocks { offset, length } => {
                let zeros = hash_of(&block_of(0));
                let hashes = blocks(*offset, *length)
                    .flat_map(|(at, _)| if at == AT { zeros } else { HOLE });
                let hashes: Vec<u8> = hashes.collect();
                self.arrivals.blocks(want.id, &hashes, stable());
            }
        }
    }
}

fn block_of(byte: u8) -> Vec<u8> {
    vec![byte; BLOCK as usize]
}

fn block_at(file: &File) -> Vec<u8> {
    let mut block = block_of(1);
    file.read_exact_at(&mut block, AT).unwrap();
    block
}

/// The end of a file of which nothing is sent.
fn stable() -> Tail {
    Tail {
        status: ReadStatus::Stable,
        bytes: 0,
        fresh: None,
    }
}

impl Listing for Source {
    fn root(&self) -> Result<Entry, SourceError> {
        Ok(self.root.clone())
    }

    fn next(&self, _wait: Duration) -> Result<Next, SourceError> {
        if self.listed.swap(true, Ordering::Relaxed) {
            return Ok(Next::Finished);
        }
        Ok(Next::Part(Part {
            dir: DirId::ROOT,
            part: 0,
            entries: vec![self.file.clone()],
            end: Some(End::Complete { count: 1 }),
        }))
    }

    fn done(&self, _dir: DirId, _part: u32, _keep: bool) {}

    fn relist(&self, _dir: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        Ok(vec![self.file.name.clone()])
    }
}

/// Answers from threads of its own, as sockets would.
struct Asked(Arc<Source>);

impl Wants for Asked {
    fn want(&self, wants: &[Want]) -> Result<(), SourceError> {
        for id in wants.iter().map(|want| want.id) {
            self.0.asked_whole.fetch_add(1, Ordering::Relaxed);
            self.0.answer_later(move |source| source.send(id));
        }
        Ok(())
    }

    fn can_assemble(&self) -> bool {
        true
    }

    fn want_parts(&self, wants: &[PartWant]) -> Result<(), SourceError> {
        for want in wants {
            let want = want.clone();
            self.0.asked_parts.fetch_add(1, Ordering::Relaxed);
            self.0.answer_later(move |source| source.answer(&want));
        }
        Ok(())
    }
}

/// A destination, and what a source has.
struct Setting {
    temp: tempfile::TempDir,
    destination: PathBuf,
}

/// What a run did.
struct Ran {
    summary: Summary,
    whole: u32,
    parts: u32,
}

impl Setting {
    /// Makes a destination at which the file was begun.
    fn begun() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let destination = temp.path().join("d");
        fs::create_dir(&destination).unwrap();
        let file = File::create(temp.path().join("large")).unwrap();
        file.set_len(SIZE).unwrap();
        let setting = Self { temp, destination };
        assert!(setting.run(Does::Dies).summary.fatal.is_some());
        setting
    }

    fn run(&self, does: Does) -> Ran {
        self.run_of(does, None)
    }

    /// Runs with a source that says another length of its file.
    fn run_of(&self, does: Does, length: Option<u64>) -> Ran {
        let entry = |path: &Path, name: &[u8], dir| Entry {
            name: name.into(),
            meta: stat_fd(File::open(path).unwrap().as_fd()).unwrap(),
            target: None,
            dir,
            xattrs: None,
        };
        let mut file = entry(&self.temp.path().join("large"), b"large", None);
        file.meta.size = length.unwrap_or(file.meta.size);
        let source = Arc::new(Source {
            root: entry(&self.destination, b"", Some(DirId::ROOT)),
            file,
            does,
            arrivals: Arrivals::new(),
            listed: AtomicBool::default(),
            asked_whole: AtomicU32::default(),
            asked_parts: AtomicU32::default(),
            threads: Mutex::default(),
        });
        let job = Job {
            destination: Dir::open_root(&self.destination).unwrap(),
            listing: Arc::clone(&source) as _,
            content: Content::Arriving {
                wants: Arc::new(Asked(Arc::clone(&source))),
                arrivals: Arc::clone(&source.arrivals),
            },
            options: Options::default(),
            identity: RunIdentity {
                run_id: new_run_id(),
                ..RunIdentity::default()
            },
        };
        let summary = run(job, Arc::new(()), Cancel::new());
        // One that is still in the run would keep its lock.
        for thread in std::mem::take(&mut *source.threads.lock().unwrap()) {
            thread.join().unwrap();
        }
        Ran {
            summary,
            whole: source.asked_whole.load(Ordering::Relaxed),
            parts: source.asked_parts.load(Ordering::Relaxed),
        }
    }

    /// The file that was begun.
    fn partial(&self) -> PathBuf {
        let names = fs::read_dir(&self.destination).unwrap();
        let mut names = names.map(|entry| entry.unwrap().path());
        let is_partial = |path: &PathBuf| path.extension().is_some_and(|end| end == "tmp");
        names.find(is_partial).unwrap()
    }

    /// Goes on with another run; returns how often it asked for the whole file, and for parts.
    #[track_caller]
    fn continued(&self) -> (u32, u32) {
        let ran = self.run(Does::Forgets);
        assert!(ran.summary.fatal.is_none(), "{:?}", ran.summary.fatal);
        assert_eq!(ran.summary.progress.files_copied, 1);
        let arrived = File::open(self.destination.join("large")).unwrap();
        assert_eq!(arrived.metadata().unwrap().len(), SIZE);
        assert!(block_at(&arrived) == block_of(0), "something else stayed");
        let left = fs::read_dir(&self.destination).unwrap().count();
        assert_eq!(left, 1, "something was left");
        (ran.whole, ran.parts)
    }
}

#[test]
fn a_file_that_is_too_long_for_the_destination_fails_alone() {
    let temp = tempfile::tempdir().unwrap();
    let destination = temp.path().join("d");
    fs::create_dir(&destination).unwrap();
    fs::write(temp.path().join("large"), "").unwrap();
    let setting = Setting { temp, destination };
    let summary = setting.run_of(Does::Exceeds, Some(1 << 62)).summary;
    assert!(summary.fatal.is_none(), "{:?}", summary.fatal);
    assert_eq!(summary.progress.files_failed, 1);
    assert_eq!(fs::read_dir(&setting.destination).unwrap().count(), 0);
}

#[test]
fn where_something_else_lies_every_byte_must_come() {
    let setting = Setting::begun();
    let begun = File::open(setting.partial()).unwrap();
    assert!(block_at(&begun) == block_of(WRONG), "nothing was begun");
    let (whole, parts) = setting.continued();
    // The parts did not do, so the file came whole.
    assert!(whole == 1 && parts > 1, "{whole} {parts}");
}

/// Checks that what was put in the place of the begun file is left as it was, and asked of nobody.
#[track_caller]
fn assert_not_continued(put: impl FnOnce(&Path, &Path)) {
    let setting = Setting::begun();
    let (begun, canary) = (setting.partial(), setting.temp.path().join("canary"));
    fs::write(&canary, vec![WRONG; AT as usize + 3 * BLOCK as usize]).unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o600)).unwrap();
    put(&begun, &canary);
    let before = fs::read(&canary).unwrap();
    let state = |path: &Path| {
        path.metadata()
            .map(|found| (found.ino(), found.mode()))
            .unwrap()
    };
    let was = state(&canary);
    assert_eq!(setting.continued(), (1, 0));
    assert!(
        fs::read(&canary).unwrap() == before,
        "the canary is another"
    );
    assert_eq!(state(&canary), was);
}

#[test]
fn a_link_in_the_place_of_the_begun_file_leads_nowhere() {
    assert_not_continued(|begun, canary| {
        fs::remove_file(begun).unwrap();
        symlink(canary, begun).unwrap();
    });
    assert_not_continued(|begun, canary| {
        fs::remove_file(begun).unwrap();
        fs::hard_link(canary, begun).unwrap();
    });
}

#[test]
fn a_pipe_in_the_place_of_the_begun_file_holds_up_nobody() {
    assert_not_continued(|begun, _| {
        fs::remove_file(begun).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            begun,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
    });
}

#[test]
fn a_file_that_others_may_have_open_is_not_continued() {
    // Who opened it meanwhile could write to it when it has its final name.
    let mut opened = None;
    assert_not_continued(|begun, _| {
        fs::set_permissions(begun, fs::Permissions::from_mode(0o666)).unwrap();
        opened = Some(OpenOptions::new().write(true).open(begun).unwrap());
    });
}

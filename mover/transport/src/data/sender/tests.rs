use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blit_engine::entry::{DirId, Entry};
use blit_engine::run::{Listing, Next, ReadStatus, Tail};
use blit_engine::tree::{LocalSource, ScanOptions, ripen};

use super::{FrameSink, Journal, Sender};
use crate::data::queue::{Job, Preference, Queue};
use crate::data::{Close, FileSent};
use crate::wire::files::{decode_end, next_record};
use crate::wire::frame::{HEADER_BYTES, Header};
use crate::wire::reader::Reader;

/// Collects what is sent; closes the queue when there is nothing left to do.
struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    queue: Arc<Queue>,
    expected: u64,
    frames: Arc<AtomicU64>,
    /// Bytes after which it is spent.
    carries: usize,
}

impl FrameSink for Memory {
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        self.frames.fetch_add(u64::from(!more), Ordering::Relaxed);
        // Frames end where nothing follows at once; the last of them ends the test.
        if !more && files(&self.bytes.lock().unwrap()).len() as u64 == self.expected {
            self.queue.close();
        }
        Ok(())
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        length: u32,
    ) -> io::Result<FileSent> {
        let mut piece = vec![0; length as usize];
        let read = rustix::io::pread(file, &mut piece, offset)?;
        let problem = (read < piece.len()).then_some(ReadStatus::Changed);
        self.bytes.lock().unwrap().extend_from_slice(&piece);
        Ok(FileSent {
            zero_copy: read as u64,
            problem,
        })
    }

    fn is_spent(&self) -> bool {
        self.bytes.lock().unwrap().len() >= self.carries
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn closer(&self) -> Arc<dyn Close> {
        unreachable!("nobody closes a sink in memory")
    }
}

/// A file as it arrived.
struct Arrived {
    content: Vec<u8>,
    tail: Tail,
    pieces: usize,
}

/// Reads frames; files that have not ended are left out.
fn files(bytes: &[u8]) -> HashMap<u64, Arrived> {
    let mut reader = Reader::new(bytes);
    let mut pieces: HashMap<u64, (Vec<u8>, usize)> = HashMap::new();
    let mut files = HashMap::new();
    while !reader.is_empty() {
        match Header::decode(&reader.array::<HEADER_BYTES>().unwrap()).unwrap() {
            Header::Files { count, length } => {
                let mut payload = Reader::new(reader.slice(length as usize).unwrap());
                for _ in 0..count {
                    let file = next_record(&mut payload).unwrap();
                    let content = file.content.to_vec();
                    let arrived = Arrived {
                        content,
                        tail: file.tail,
                        pieces: 0,
                    };
                    assert!(files.insert(file.id, arrived).is_none());
                }
                assert!(payload.is_empty());
            }
            Header::Chunk { id, offset, length } => {
                let (content, count) = pieces.entry(id).or_default();
                let end = offset as usize + length as usize;
                content.resize(content.len().max(end), 0);
                let piece = reader.slice(length as usize).unwrap();
                content[offset as usize..end].copy_from_slice(piece);
                *count += 1;
            }
            Header::End { id, length } => {
                let end = decode_end(reader.slice(length as usize).unwrap()).unwrap();
                let (content, pieces) = pieces.remove(&id).unwrap_or_default();
                let arrived = Arrived {
                    content,
                    tail: end.tail,
                    pieces,
                };
                assert!(files.insert(id, arrived).is_none());
            }
        }
    }
    files
}

/// A tree that is listed first and sent afterwards.
struct Tree {
    root: tempfile::TempDir,
    source: Arc<LocalSource>,
    entries: Vec<Entry>,
    /// Frames that were sent.
    frames: Arc<AtomicU64>,
}

fn listed(make: impl FnOnce(&Path)) -> Tree {
    let root = tempfile::tempdir().unwrap();
    make(root.path());
    let options = ScanOptions {
        xattrs: true,
        ..ScanOptions::default()
    };
    let source = LocalSource::open(root.path(), options).unwrap();
    let mut entries = Vec::new();
    while let Next::Part(part) = source.next(Duration::ZERO).unwrap() {
        assert_eq!(part.dir, DirId::ROOT);
        entries.extend(part.entries);
    }
    // However long it took to make them: young files would be waited for one after the other, each wait ending a frame.
    for entry in &entries {
        ripen(&entry.meta, || false);
    }
    Tree {
        root,
        source,
        entries,
        frames: Arc::default(),
    }
}

impl Tree {
    /// Sends every file; returns them by name.
    fn send(&self, preference: Preference) -> HashMap<String, Arrived> {
        self.send_over(preference, usize::MAX).0
    }

    /// Sends every file, over as many streams as it takes where each is spent after so many bytes; returns the files by name, and
    /// what each stream carried.
    fn send_over(
        &self,
        preference: Preference,
        carries: usize,
    ) -> (HashMap<String, Arrived>, Vec<usize>) {
        let queue = Arc::new(Queue::default());
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let sent: Arc<super::Sent> = Arc::default();
        let jobs = (0..).zip(&self.entries);
        let jobs = jobs.map(|(id, entry)| Job {
            id,
            dir: DirId::ROOT,
            entry: entry.clone(),
            late: false,
        });
        queue.push(jobs.collect());
        let mut carried = Vec::new();
        while !queue.is_closed() {
            let before = bytes.lock().unwrap().len();
            let sink = Memory {
                bytes: Arc::clone(&bytes),
                queue: Arc::clone(&queue),
                expected: self.entries.len() as u64,
                frames: Arc::clone(&self.frames),
                carries: before.saturating_add(carries),
            };
            let journal = Journal::default();
            journal.prefer(preference);
            let sender = Sender {
                sink: Box::new(sink),
                queue: Arc::clone(&queue),
                journal: Arc::new(journal),
                source: Arc::clone(&self.source),
                sent: Arc::clone(&sent),
                codes: None,
            };
            sender.run().unwrap();
            carried.push(bytes.lock().unwrap().len() - before);
        }
        let files = files(&bytes.lock().unwrap());
        let total: u64 = files.values().map(|file| file.tail.bytes).sum();
        assert_eq!(sent.bytes.load(Ordering::Relaxed), total);
        let name = |id| String::from_utf8(self.entries[id as usize].name.to_vec()).unwrap();
        let files = files.into_iter().map(|(id, file)| (name(id), file));
        (files.collect(), carried)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }
}

#[test]
fn files_of_every_size_arrive_as_they_are() {
    let sizes = [0, 1, 4095, 65_535, 65_536, 65_537, 5 << 20];
    let content = |size: usize| (0..size).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
    let tree = listed(|root| {
        for size in sizes {
            fs::write(root.join(size.to_string()), content(size)).unwrap();
        }
    });
    for preference in [Preference::Small, Preference::Large] {
        let files = tree.send(preference);
        for size in sizes {
            let file = &files[&size.to_string()];
            assert!(file.content == content(size), "{size}");
            assert_eq!(file.tail.status, ReadStatus::Stable);
            assert_eq!(file.tail.fresh, None);
            assert_eq!(
                file.pieces,
                if size <= 65_536 {
                    0
                } else {
                    size.div_ceil(4 << 20)
                }
            );
        }
    }
}

#[test]
fn a_stream_that_is_spent_ends_between_two_frames_and_the_next_goes_on() {
    let tree = listed(|root| {
        fs::write(root.join("large"), vec![7; 30 << 20]).unwrap();
        for number in 0..100 {
            fs::write(root.join(number.to_string()), vec![number; 60_000]).unwrap();
        }
    });
    for preference in [Preference::Small, Preference::Large] {
        let (files, carried) = tree.send_over(preference, 5 << 20);
        assert_eq!(files.len(), 101);
        assert!(files["large"].content == vec![7; 30 << 20]);
        assert!(carried.len() >= 4, "{carried:?}");
        // What was begun is brought to its end: a piece, or as many small files as are taken at once.
        assert!(carried.iter().all(|bytes| *bytes < 10 << 20), "{carried:?}");
    }
}

#[test]
fn many_small_files_share_a_frame() {
    let tree = listed(|root| {
        for number in 0..300 {
            fs::write(root.join(number.to_string()), number.to_string()).unwrap();
        }
    });
    let files = tree.send(Preference::Small);
    assert_eq!(files.len(), 300);
    let frames = tree.frames.load(Ordering::Relaxed);
    assert_eq!(frames, 1);
    assert!(
        files
            .iter()
            .all(|(name, file)| file.content == name.as_bytes())
    );
}

#[test]
fn a_file_that_has_gone_is_reported_and_nothing_else_suffers() {
    let tree = listed(|root| {
        for name in ["gone", "link", "here", "large"] {
            fs::write(
                root.join(name),
                vec![1; if name == "large" { 100_000 } else { 10 }],
            )
            .unwrap();
        }
    });
    fs::remove_file(tree.path("gone")).unwrap();
    fs::remove_file(tree.path("large")).unwrap();
    fs::remove_file(tree.path("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.path("link")).unwrap();
    let files = tree.send(Preference::Small);
    for name in ["gone", "link", "large"] {
        assert_eq!(files[name].tail.status, ReadStatus::Vanished, "{name}");
        assert_eq!(files[name].content, b"", "{name}");
    }
    assert_eq!(files["here"].tail.status, ReadStatus::Stable);
}

#[test]
fn a_file_that_changed_since_it_was_listed_comes_with_what_it_is_now() {
    let tree = listed(|root| {
        fs::write(root.join("grown"), b"small").unwrap();
        fs::write(root.join("shrunk"), vec![1; 200_000]).unwrap();
    });
    fs::write(tree.path("grown"), vec![2; 300_000]).unwrap();
    fs::write(tree.path("shrunk"), b"less").unwrap();
    let files = tree.send(Preference::Small);
    for (name, content) in [("grown", vec![2; 300_000]), ("shrunk", b"less".to_vec())] {
        let file = &files[name];
        assert!(file.content == content, "{name}");
        assert_eq!(file.tail.status, ReadStatus::Stable);
        assert_eq!(
            file.tail.fresh.as_ref().unwrap().meta.size,
            content.len() as u64
        );
    }
}

#[test]
fn a_small_file_with_holes_goes_without_them() {
    let tree = listed(|root| {
        let file = fs::File::create(root.join("sparse")).unwrap();
        file.set_len(60 << 10).unwrap();
        file.write_all_at(&[3; 4096], 8192).unwrap();
        fs::File::create(root.join("hole"))
            .unwrap()
            .set_len(60 << 10)
            .unwrap();
    });
    let files = tree.send(Preference::Small);
    assert_eq!(
        (files["sparse"].tail.bytes, files["sparse"].pieces),
        (4096, 1)
    );
    assert_eq!((files["hole"].tail.bytes, files["hole"].pieces), (0, 0));
    assert!(
        files
            .values()
            .all(|file| file.tail.status == ReadStatus::Stable)
    );
}

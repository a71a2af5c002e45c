use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blit_engine::entry::{DirId, Entry};
use blit_engine::run::{Arrivals, Listing, Next, ReadStatus, Want};
use blit_engine::tree::{LocalSource, ScanOptions};
use proptest::prelude::*;

use super::*;
use crate::data::large::Ending;
use crate::data::proof::Proof;
use crate::data::queue::{Answer, BlockAnswer, Job, Preference, Task};
use crate::data::receiver::Receiver;
use crate::data::sender::Sender;
use crate::data::window::Window;
use crate::data::{Close, FileSent, FrameSink, FrameStream};
use crate::wire::codes::{Codes, Sum};
use crate::wire::files;
use crate::wire::frame::{HEADER_BYTES, Header};
use crate::wire::reader::Reader;

/// A stream that breaks after so many bytes.
struct Breaking {
    socket: UnixStream,
    left: usize,
}

impl FrameSink for Breaking {
    fn send(&mut self, bytes: &[u8], _more: bool) -> io::Result<()> {
        let now = self.left.min(bytes.len());
        self.left -= now;
        self.socket.write_all(&bytes[..now])?;
        if now < bytes.len() {
            self.finish()?;
            return Err(io::ErrorKind::ConnectionReset.into());
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
        assert_eq!(rustix::io::pread(file, &mut piece, offset)?, piece.len());
        self.send(&piece, false)?;
        Ok(FileSent {
            zero_copy: piece.len() as u64,
            problem: None,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn closer(&self) -> Arc<dyn Close> {
        unreachable!("nobody closes it")
    }
}

/// The other end, which keeps what arrives.
struct Tapped {
    socket: UnixStream,
    kept: Arc<Mutex<Vec<u8>>>,
}

impl FrameStream for Tapped {
    fn closer(&self) -> Arc<dyn Close> {
        unreachable!("nobody closes it")
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.socket.read(&mut buffer[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        lock(&self.kept).extend_from_slice(buffer);
        Ok(true)
    }
}

/// The content that arrived, by file and position.
#[derive(Default)]
struct Content(BTreeMap<u64, BTreeMap<u64, Vec<u8>>>);

impl Content {
    /// Reads what arrived as far as the receiver counted it.
    fn add(&mut self, bytes: &[u8], arrived: Arrived) {
        let mut reader = Reader::new(bytes);
        for _ in 0..arrived.frames {
            self.frame(&mut reader, None);
        }
        if arrived.bytes > 0 {
            self.frame(&mut reader, Some(arrived.bytes));
        }
    }

    fn frame(&mut self, reader: &mut Reader<'_>, part: Option<u64>) {
        match Header::decode(&reader.array::<HEADER_BYTES>().unwrap()).unwrap() {
            Header::Files { count, length } => {
                let mut payload = Reader::new(reader.slice(length as usize).unwrap());
                for _ in 0..count {
                    let file = files::next_record(&mut payload).unwrap();
                    let twice = self.0.entry(file.id).or_default();
                    let twice = twice.insert(0, file.content.to_vec());
                    assert!(twice.is_none(), "a whole file arrived twice");
                }
            }
            Header::Chunk { id, offset, length } => {
                let length = part.map_or(length as usize, |part| part as usize);
                let content = reader.slice(length).unwrap();
                let file = self.0.entry(id).or_default();
                assert!(file.insert(offset, content.to_vec()).is_none());
            }
            Header::End { length, .. } => {
                reader.slice(length as usize).unwrap();
            }
        }
    }

    fn of(&self, id: u64) -> Vec<u8> {
        let pieces = self.0.get(&id).into_iter().flatten();
        let mut content = Vec::new();
        for (offset, piece) in pieces {
            assert_eq!(
                *offset,
                content.len() as u64,
                "pieces overlap or are missing"
            );
            content.extend_from_slice(piece);
        }
        content
    }
}

fn listed(root: &Path) -> (Arc<LocalSource>, Vec<Entry>) {
    let source = LocalSource::open(root, ScanOptions::default()).unwrap();
    let Next::Part(part) = source.next(Duration::ZERO).unwrap() else {
        panic!("no listing")
    };
    (source, part.entries)
}

/// Sends a tree over streams that break where `breaks` says, one after the other; checks that everything arrives
/// exactly once and, where that is asked for, is proven. Returns how many bytes went over the streams in all.
fn survives(root: &Path, breaks: &[usize], verifies: bool) -> usize {
    let codes = verifies.then(|| Arc::new(Codes::from([9; 32])));
    let proof = verifies.then(|| Arc::new(Proof::new(Codes::from([9; 32]))));
    let (source, entries) = listed(root);
    let queue = Arc::new(Queue::default());
    let window = Arc::new(Window::default());
    let wants = (1..).zip(&entries).map(|(id, entry)| Want {
        id,
        dir: DirId::ROOT,
        part: 0,
        index: 0,
        size: entry.meta.size,
        hash: false,
    });
    let wants: Vec<Want> = wants.collect();
    assert_eq!(window.admit(&wants).unwrap(), wants.len());
    let jobs = (1..).zip(entries.iter().cloned()).map(|(id, entry)| Job {
        id,
        dir: DirId::ROOT,
        entry,
        late: false,
    });
    queue.push(jobs.collect());
    let mut content = Content::default();
    let mut sent = 0;
    // The last stream holds.
    for (number, until) in breaks.iter().copied().chain([usize::MAX]).enumerate() {
        let (journal, kept) = (Arc::new(Journal::default()), Arc::default());
        journal.prefer(match number % 2 {
            0 => Preference::Small,
            _ => Preference::Large,
        });
        let (near, far) = UnixStream::pair().unwrap();
        let sender = Sender {
            sink: Box::new(Breaking {
                socket: near,
                left: until,
            }),
            queue: Arc::clone(&queue),
            journal: Arc::clone(&journal),
            source: Arc::clone(&source),
            sent: Arc::default(),
            codes: codes.clone(),
        };
        let receiver = Receiver {
            stream: Box::new(Tapped {
                socket: far,
                kept: Arc::clone(&kept),
            }),
            window: Arc::clone(&window),
            arrivals: Arrivals::new(),
            received: Arc::default(),
            proof: proof.clone(),
            reached: Arc::default(),
        };
        let reached = Arc::clone(&receiver.reached);
        let over = |window: &Window| wants.iter().all(|want| window.expects(want.id).is_err());
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| sender.run());
            let receiving = scope.spawn(|| receiver.run());
            while !sending.is_finished() && !over(&window) {
                std::thread::sleep(Duration::from_millis(1));
            }
            journal.leave(&queue);
            let _ = sending.join().unwrap();
            let _ = receiving.join().unwrap();
        });
        let kept = lock(&kept).clone();
        sent += kept.len();
        content.add(&kept, reached.now());
        journal.settle(reached.now(), &queue).unwrap();
        assert_eq!(journal.waiting(), 0);
        if over(&window) {
            break;
        }
    }
    for (id, entry) in (1..).zip(&entries) {
        let name = std::str::from_utf8(&entry.name).unwrap();
        assert_eq!(content.of(id), std::fs::read(root.join(name)).unwrap());
        assert!(window.expects(id).is_err(), "{name} has not ended");
    }
    if let Some(proof) = proof {
        let judged = lock(&proof.judged);
        assert!(judged.iter().all(|(_, proven)| *proven), "{judged:?}");
        let large = entries.iter().filter(|entry| entry.meta.size > 64 << 10);
        assert_eq!(judged.len(), large.count());
    }
    sent
}

fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for n in 0..40_usize {
        let content: Vec<u8> = (0..n * 700).map(|i| (i * 7 + n) as u8).collect();
        std::fs::write(root.path().join(format!("small{n}")), content).unwrap();
    }
    for n in 0..2_u32 {
        let content: Vec<u8> = (0..5_000_000 + n).map(|i| (i / 3) as u8).collect();
        std::fs::write(root.path().join(format!("large{n}")), content).unwrap();
    }
    root
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn everything_arrives_once_wherever_streams_break(
        breaks in proptest::collection::vec(0_usize..6_000_000, 0..6),
        verifies: bool,
    ) {
        survives(tree().path(), &breaks, verifies);
    }
}

#[test]
fn a_stream_that_breaks_late_is_not_sent_again_from_the_beginning() {
    let root = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..20_000_000_u32).map(|i| (i / 5) as u8).collect();
    std::fs::write(root.path().join("f"), content).unwrap();
    // In the middle of the fourth piece, and once more in its rest.
    for verifies in [false, true] {
        let sent = survives(root.path(), &[14_000_000, 1_000_000], verifies);
        assert!(sent < 20_700_000, "{sent}");
    }
}

#[test]
fn what_changed_after_its_end_is_reported_before_what_was_lost_of_it() {
    let codes = Some(Arc::new(Codes::from([9; 32])));
    let proof = Proof::new(Codes::from([9; 32]));
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; 200_000]).unwrap();
    let (source, entries) = listed(root.path());
    let queue = Arc::new(Queue::default());
    queue.push(vec![Job {
        id: 1,
        dir: DirId::ROOT,
        entry: entries[0].clone(),
        late: false,
    }]);
    let stream = |journal: &Arc<Journal>| {
        journal.prefer(Preference::Large);
        let (near, mut far) = UnixStream::pair().unwrap();
        let sender = Sender {
            sink: Box::new(Breaking {
                socket: near,
                left: usize::MAX,
            }),
            queue: Arc::clone(&queue),
            journal: Arc::clone(journal),
            source: Arc::clone(&source),
            sent: Arc::default(),
            codes: codes.clone(),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| sender.run());
            let mut header = [0; HEADER_BYTES];
            let mut frames = Vec::new();
            while frames.len() < 2 {
                far.read_exact(&mut header).unwrap();
                let header = Header::decode(&header).unwrap();
                let length = match header {
                    Header::Chunk { length, .. } | Header::End { length, .. } => length,
                    Header::Files { .. } => panic!("it is large"),
                };
                let mut payload = vec![0; length as usize];
                far.read_exact(&mut payload).unwrap();
                frames.push((matches!(header, Header::End { .. }), payload));
            }
            journal.leave(&queue);
            frames
        })
    };
    let journal = Arc::default();
    let first = stream(&journal);
    assert!(!first[0].0 && first[1].0);
    // Nothing of it arrived but the end, over another stream.
    std::fs::write(root.path().join("f"), vec![2; 200_000]).unwrap();
    let lost = Journal::default();
    let Carried::Piece { origin, piece, .. } = lock(&journal.notes).carried.pop_front().unwrap()
    else {
        panic!("a piece comes first")
    };
    lost.note(Carried::Piece {
        origin,
        file: Weak::new(),
        piece,
        zero_copy: 0,
    });
    lost.settle(Arrived::default(), &queue).unwrap();
    let second = stream(&Arc::default());
    let end = files::decode_end(&second[0].1).unwrap();
    let tail = end.tail;
    assert!(second[0].0 && !second[1].0);
    assert_eq!((&tail.status, tail.bytes), (&ReadStatus::Changed, 200_000));
    // It is proven that the source said so, whichever of the two ends comes first.
    let first = files::decode_end(&first[1].1).unwrap();
    for worse_first in [false, true] {
        if worse_first {
            proof.end(1, &tail, end.code);
        }
        proof.end(1, &first.tail, first.code);
        if !worse_first {
            proof.end(1, &tail, end.code);
        }
        let mut zeros = proof.passing(1, 0, 200_000);
        zeros.pass(&second[1].1);
        proof.passed(1, &zeros);
        assert_eq!(proof.settle(1, tail.clone()).status, ReadStatus::Changed);
    }
    assert!(
        second[1].1.iter().all(|byte| *byte == 0),
        "a mixture of two versions"
    );
}

#[test]
fn frames_that_were_not_sent_cannot_be_confirmed() {
    let journal = Journal::default();
    journal.note(Carried::Files(Batch::default()));
    let arrived = |frames| Arrived { frames, bytes: 0 };
    journal.confirm(arrived(1)).unwrap();
    journal.confirm(arrived(1)).unwrap();
    assert_eq!(journal.waiting(), 0);
    journal.confirm(arrived(2)).unwrap_err();
}

/// Has a thread send what is in a queue over a stream that breaks after so many bytes.
fn breaks(source: &Arc<LocalSource>, queue: &Arc<Queue>, journal: &Arc<Journal>, left: usize) {
    let (near, _far) = UnixStream::pair().unwrap();
    let sender = Sender {
        sink: Box::new(Breaking { socket: near, left }),
        queue: Arc::clone(queue),
        journal: Arc::clone(journal),
        source: Arc::clone(source),
        sent: Arc::default(),
        codes: None,
    };
    sender.run().unwrap_err();
}

#[test]
fn hashes_that_a_broken_stream_did_not_take_go_over_another() {
    let root = tempfile::tempdir().unwrap();
    let (source, _) = {
        std::fs::write(root.path().join("f"), "").unwrap();
        listed(root.path())
    };
    let queue = Arc::new(Queue::default());
    // More than a frame holds, so that it breaks between two of them.
    let count = 20_000;
    for id in 0..count {
        queue.answer(Answer {
            id,
            hash: Some([7; 32]),
            status: ReadStatus::Stable,
            fresh: None,
        });
    }
    let journal = Arc::new(Journal::default());
    breaks(&source, &queue, &journal, 0);
    journal.settle(Arrived::default(), &queue).unwrap();
    let mut left = std::collections::BTreeSet::new();
    while let Some(Task::Answers(answers)) = queue.try_take(Preference::Small, journal.left()) {
        left.extend(answers.into_iter().map(|answer| answer.id));
    }
    assert_eq!(left.len() as u64, count);
}

#[test]
fn a_piece_that_cannot_be_read_again_is_not_forgotten_with_the_stream_that_was_to_say_so() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; 200_000]).unwrap();
    let (source, entries) = listed(root.path());
    let queue = Arc::new(Queue::default());
    let origin = Arc::new(Origin {
        id: 1,
        dir: DirId::ROOT,
        entry: entries[0].clone(),
        ending: std::sync::OnceLock::new(),
    });
    let ending = Ending {
        status: ReadStatus::Stable,
        fresh: None,
        bytes: 200_000,
        zero_copy: 0,
        sum: Sum::default(),
    };
    origin.ending.set(ending).unwrap();
    let piece = Some(Piece {
        offset: 0,
        length: 200_000,
        again: true,
    });
    queue.again(Again { origin, piece });
    std::fs::write(root.path().join("f"), vec![2; 300_000]).unwrap();
    let journal = Arc::new(Journal::default());
    breaks(&source, &queue, &journal, 0);
    journal.settle(Arrived::default(), &queue).unwrap();
    let mut left = Vec::new();
    while let Some(Task::Again(again)) = queue.try_take(Preference::Small, journal.left()) {
        left.push(again.piece);
    }
    assert!(left.contains(&piece), "{left:?}");
}

#[test]
fn a_journal_that_nobody_would_confirm_holds_nothing() {
    let journal = Journal::forgetful();
    journal.note(Carried::Files(Batch::default()));
    assert_eq!(journal.waiting(), 0);
}

#[test]
fn what_was_asked_of_parts_of_files_goes_over_another_stream() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), vec![1; 200_000]).unwrap();
    let (source, entries) = listed(root.path());
    // It cannot be read any more, so that nothing but a result is sent of it.
    std::fs::remove_file(root.path().join("f")).unwrap();
    let queue = Arc::new(Queue::default());
    let job = Job {
        id: 1,
        dir: DirId::ROOT,
        entry: entries[0].clone(),
        late: false,
    };
    let ranges = vec![(5, 10), (100, 20)];
    let hashes = vec![3; 64];
    for left in [0, 100] {
        queue.push_ranges(vec![(job.clone(), ranges.clone())]);
        queue.answer_blocks(BlockAnswer {
            id: 2,
            hashes: hashes.clone(),
            status: ReadStatus::Stable,
        });
        let journal = Arc::new(Journal::default());
        breaks(&source, &queue, &journal, left);
        assert!(journal.weight() <= 2);
        journal.settle(Arrived::default(), &queue).unwrap();
        assert_eq!(journal.weight(), 0);
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        while let Some(task) = queue.try_take(Preference::Small, journal.left()) {
            match task {
                Task::Ranges(job, ranges) => asked.push((job.id, ranges)),
                Task::Blocks(answer) => answered.push((answer.id, answer.hashes)),
                task => panic!("{task:?}"),
            }
        }
        assert_eq!(asked, [(1, ranges.clone())]);
        assert_eq!(answered, [(2, hashes.clone())]);
    }
}

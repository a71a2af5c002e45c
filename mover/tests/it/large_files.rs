//! What tests of large files have in common: those that are continued where a run was cut off, and those of which only the
//! blocks that differ are sent.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use blit_e2e::tree::Content;

use crate::relay::OnData;

pub(crate) const MIB: u64 = 1 << 20;

/// Content travels over TCP. What went inside gRPC, because TCP was slow to come, would not be counted.
pub(crate) const TCP: &[&str] = &["--no-fallback"];

/// Content travels inside gRPC, over the control port.
pub(crate) const FORCED: &[&str] = &["--force-grpc-data"];

/// Content travels over TCP, inside TLS.
pub(crate) const ENCRYPTED: &[&str] = &["--no-fallback", "--encryption", "all"];

/// What a killed process may have had in its hands or in the buffers of its sockets.
pub(crate) const IN_HAND: u64 = 24 * MIB;

/// Time for a process to end.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Closed at first; who waits at it goes on when it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
    }
}

/// Returns what lets so many bytes pass and holds the rest at a gate, and what tells when it does.
pub(crate) fn holding(bytes: u64, gate: &Arc<Gate>) -> (Arc<OnData>, Receiver<()>) {
    let (tell, told) = channel();
    let (gate, passed) = (Arc::clone(gate), AtomicU64::new(0));
    let tell = Mutex::new(tell);
    let on_data = move |data: &mut [u8]| {
        if passed.fetch_add(data.len() as u64, Ordering::Relaxed) > bytes {
            // Nobody listens the second time.
            let _ = tell.lock().unwrap().send(());
            gate.wait();
        }
    };
    (Arc::new(on_data), told)
}

/// Returns the files below a directory that wait to be continued.
pub(crate) fn partials(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(partials(&path));
        } else if name.starts_with(".blit.") && name.len() > 40 {
            found.push(path);
        }
    }
    found
}

/// Returns how much of the files that wait to be continued lies there.
pub(crate) fn arrived(root: &Path) -> u64 {
    let partials = partials(root);
    let blocks = |path: &PathBuf| path.metadata().map_or(0, |found| found.blocks());
    partials.iter().map(blocks).sum::<u64>() * 512
}

/// Checks that nothing is left beside the data for a later run.
#[track_caller]
pub(crate) fn assert_nothing_is_left(root: &Path) {
    assert!(!root.join(".blit").exists());
    assert_eq!(partials(root), Vec::<PathBuf>::new());
}

pub(crate) fn write(path: &Path, content: &Content) {
    content.write(&File::create(path).unwrap()).unwrap();
}

/// Changes bytes in the middle of a file.
pub(crate) fn alter(path: &Path, offset: u64, length: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    file.write_all_at(&bytes, offset).unwrap();
}

/// Checks what a second run sent of a file of this size of which half had come.
#[track_caller]
pub(crate) fn assert_only_the_rest(size: u64, sent: u64) {
    // Besides it come hashes, frames, and blocks of which only a part was written.
    let rest = size / 2 - IN_HAND..size / 2 + IN_HAND + MIB;
    assert!(rest.contains(&sent), "{sent} bytes of {size} were sent");
}

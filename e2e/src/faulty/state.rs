//! What there is, and what goes wrong with it.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use fuser::{Errno, INodeNo, ReplyData, ReplyDirectory};

use super::tree::{Answer, Content, Tree};
use super::{Call, Nature};

/// The tree, and what goes wrong with it.
pub(super) struct State {
    pub(super) tree: Tree,
    /// With a `*` at the end of a name, all that begin so.
    failing: Vec<(Call, String)>,
    /// The same by how the content of a file begins.
    failing_content: Vec<(Call, Vec<u8>)>,
    hanging: HashSet<(Call, OsString)>,
    pub(super) waiting: Vec<Waiting>,
    /// Bytes a second that reading brings; `None`: as many as there are.
    pub(super) rate: Option<u32>,
    /// How long each call takes.
    pub(super) latency: Duration,
    /// Writes that are still to be stored altered.
    pub(super) altered: u32,
}

/// A call without an answer.
pub(super) enum Waiting {
    Read(ReplyData, Vec<u8>),
    Directory(ReplyDirectory),
}

/// What goes wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Fails,
    Hangs,
}

impl State {
    pub(super) fn new(nature: Nature) -> Self {
        Self {
            tree: Tree::new(nature),
            failing: Vec::new(),
            failing_content: Vec::new(),
            hanging: HashSet::new(),
            waiting: Vec::new(),
            rate: None,
            latency: Duration::ZERO,
            altered: 0,
        }
    }

    pub(super) fn fail(&mut self, call: Call, name: &str) {
        self.failing.push((call, name.to_owned()));
    }

    pub(super) fn fail_content(&mut self, call: Call, beginning: &str) {
        self.failing_content.push((call, beginning.into()));
    }

    pub(super) fn hang(&mut self, call: Call, name: &str) {
        self.hanging.insert((call, name.into()));
    }

    pub(super) fn throttle(&mut self, rate: u32) {
        self.rate = Some(rate);
    }

    pub(super) fn hanging(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn release(&mut self) {
        self.hanging.clear();
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Read(reply, data) => reply.data(&data),
                // Whoever asks again gets the rest.
                Waiting::Directory(reply) => reply.error(Errno::EINTR),
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.rate = None;
        self.latency = Duration::ZERO;
        self.failing.clear();
        self.failing_content.clear();
        self.release();
    }

    pub(super) fn fault(&self, call: Call, number: INodeNo) -> Option<Fault> {
        let node = self.tree.node(number).ok()?;
        if self.fails_name(call, &node.name) || self.content_is_well(call, number).is_err() {
            Some(Fault::Fails)
        } else {
            let key = (call, node.name.clone());
            self.hanging.contains(&key).then_some(Fault::Hangs)
        }
    }

    fn fails_name(&self, call: Call, name: &OsStr) -> bool {
        let name = name.as_bytes();
        let is_meant = |meant: &str| match meant.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning.as_bytes()),
            None => name == meant.as_bytes(),
        };
        let mut faults = self.failing.iter();
        faults.any(|(failing, meant)| *failing == call && is_meant(meant))
    }

    pub(super) fn fails_content(&self, call: Call, content: &[u8]) -> bool {
        let mut faults = self.failing_content.iter();
        faults.any(|(failing, beginning)| *failing == call && content.starts_with(beginning))
    }

    /// Fails if the call fails on what this entry holds, whatever its name.
    pub(super) fn content_is_well(&self, call: Call, number: INodeNo) -> Answer<()> {
        let content = match &self.tree.node(number)?.content {
            Content::File(bytes) => bytes.as_slice(),
            _ => b"",
        };
        match self.fails_content(call, content) {
            true => Err(Errno::EIO),
            false => Ok(()),
        }
    }

    /// Fails if the call fails on this name, which need not be there.
    pub(super) fn name_is_well(&self, call: Call, name: &OsStr) -> Answer<()> {
        match self.fails_name(call, name) {
            true => Err(Errno::EIO),
            false => Ok(()),
        }
    }

    /// Fails if the call fails on this entry.
    pub(super) fn is_well(&self, call: Call, number: INodeNo) -> Answer<()> {
        match self.fault(call, number) {
            Some(Fault::Fails) => Err(Errno::EIO),
            // Only reading hangs.
            Some(Fault::Hangs) | None => Ok(()),
        }
    }
}

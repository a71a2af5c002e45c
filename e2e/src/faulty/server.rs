//! From requests of the kernel to the tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    IoctlFlags, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::Call;
use super::state::{Fault, State, Waiting};
use super::tree::{Answer, Content, Tree};

/// Nothing is remembered by the kernel: it would hide what goes wrong.
const NEVER: Duration = Duration::ZERO;

/// `FS_IOC_GETFLAGS` and `FS_CASEFOLD_FL` of `linux/fs.h`.
const GET_FLAGS: u32 = 0x8008_6601;
const CASEFOLD: u32 = 0x4000_0000;

/// Shortest write that is stored altered: what a program keeps for itself is shorter.
const ALTERED_MIN: usize = 4096;

/// What the kernel talks to.
pub(super) struct Server {
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(super) fn new(state: Arc<Mutex<State>>) -> Self {
        Self { state }
    }

    /// Every call takes it once, and late if calls are to be answered late: others are served meanwhile.
    fn state(&self) -> MutexGuard<'_, State> {
        let latency = self.state_at_once().latency;
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        self.state_at_once()
    }

    fn state_at_once(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(
        &self,
        (parent, name): (INodeNo, &OsStr),
        content: Content,
        (mode, rdev): (u32, u32),
        request: &Request,
        reply: ReplyEntry,
    ) {
        let owner = (request.uid(), request.gid());
        let mut state = self.state();
        let made = state.tree.make(parent, name, content, mode, owner, rdev);
        entry(reply, &state.tree, made);
    }
}

fn entry(reply: ReplyEntry, tree: &Tree, found: Answer<INodeNo>) {
    match found.and_then(|number| tree.attributes(number)) {
        Ok(attributes) => reply.entry(&NEVER, &attributes, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn empty(reply: ReplyEmpty, done: Answer<()>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn value(reply: ReplyXattr, size: u32, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if size == 0 {
        reply.size(length);
    } else if size < length {
        reply.error(Errno::ERANGE);
    } else {
        reply.data(bytes);
    }
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.state();
        let well = state.name_is_well(Call::Look, name);
        let found = well.and_then(|()| state.tree.lookup(parent, name));
        entry(reply, &state.tree, found);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let state = self.state();
        let well = state.is_well(Call::Look, number);
        match well.and_then(|()| state.tree.attributes(number)) {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.state();
        let set = [
            (mode.is_some(), Call::SetMode),
            (mtime.is_some(), Call::SetTime),
        ];
        for (_, call) in set.iter().filter(|(is_set, _)| *is_set) {
            if let Err(errno) = state.is_well(*call, number) {
                return reply.error(errno);
            }
        }
        let tree = &mut state.tree;
        let now = tree.now();
        let mtime = mtime.map(|time| match time {
            TimeOrNow::SpecificTime(time) => tree.cut(time),
            TimeOrNow::Now => now,
        });
        let changed = tree.change(number).map(|node| {
            if let Some(mode) = mode {
                node.mode = (mode & 0o7777) as u16;
            }
            node.uid = uid.unwrap_or(node.uid);
            node.gid = gid.unwrap_or(node.gid);
            if let (Some(size), Content::File(bytes)) = (size, &mut node.content) {
                bytes.resize(size as usize, 0);
                node.mtime = now;
            }
            node.mtime = mtime.unwrap_or(node.mtime);
        });
        match changed.and_then(|()| tree.attributes(number)) {
            Ok(attributes) => reply.attr(&NEVER, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.state().tree.node(number).map(|node| &node.content) {
            Ok(Content::Symlink(target)) => reply.data(target),
            Ok(_) => reply.error(Errno::EINVAL),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let content = match mode & nix::libc::S_IFMT {
            nix::libc::S_IFREG => Content::File(Vec::new()),
            nix::libc::S_IFIFO => Content::Other(FileType::NamedPipe),
            nix::libc::S_IFSOCK => Content::Other(FileType::Socket),
            nix::libc::S_IFCHR => Content::Other(FileType::CharDevice),
            nix::libc::S_IFBLK => Content::Other(FileType::BlockDevice),
            _ => return reply.error(Errno::EINVAL),
        };
        let mode = mode & !umask;
        self.make((parent, name), content, (mode, rdev), request, reply);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let content = Content::Directory(BTreeMap::new());
        let (mode, owner) = (mode & !umask, (request.uid(), request.gid()));
        let mut state = self.state();
        let well = state.name_is_well(Call::MakeDirectory, name);
        let made = well.and_then(|()| state.tree.make(parent, name, content, mode, owner, 0));
        entry(reply, &state.tree, made);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let well = (state.name_is_well(Call::Unlink, name))
            .and_then(|()| state.tree.lookup(parent, name))
            .and_then(|number| state.content_is_well(Call::Unlink, number));
        let removed = well.and_then(|()| state.tree.remove(parent, name, false));
        empty(reply, removed);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.state();
        let well = state.name_is_well(Call::RemoveDirectory, name);
        let removed = well.and_then(|()| state.tree.remove(parent, name, true));
        empty(reply, removed);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let content = Content::Symlink(target.as_os_str().as_bytes().to_vec());
        self.make((parent, name), content, (0o777, 0), request, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let exclusive = flags.contains(RenameFlags::RENAME_NOREPLACE);
        let exchange = flags.contains(RenameFlags::RENAME_EXCHANGE);
        let (from, to) = ((parent, name), (new_parent, new_name));
        let mut state = self.state();
        let well = (state.name_is_well(Call::Rename, name))
            .and_then(|()| state.name_is_well(Call::Rename, new_name));
        let renamed = well.and_then(|()| state.tree.rename(from, to, exclusive, exchange));
        empty(reply, renamed);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.state();
        let well =
            (state.name_is_well(Call::Link, name)).and_then(|()| state.is_well(Call::Link, number));
        let linked = match well.and_then(|()| state.tree.find(parent, name)) {
            Ok(None) => state.tree.attach(parent, name, number.0).map(|()| number),
            Ok(Some(_)) => Err(Errno::EEXIST),
            Err(errno) => Err(errno),
        };
        entry(reply, &state.tree, linked);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // What the kernel has in its cache it would not ask for.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.state();
        let data = match state.tree.node(number).map(|node| &node.content) {
            Ok(Content::File(bytes)) => {
                let from = bytes.len().min(offset as usize);
                let to = bytes.len().min(from + size as usize);
                bytes[from..to].to_vec()
            }
            Ok(_) => return reply.error(Errno::EINVAL),
            Err(errno) => return reply.error(errno),
        };
        match state.fault(Call::Read, number) {
            Some(Fault::Fails) => reply.error(Errno::EIO),
            Some(Fault::Hangs) => state.waiting.push(Waiting::Read(reply, data)),
            None => match state.rate {
                None => reply.data(&data),
                Some(rate) => {
                    let took = Duration::from_secs(data.len() as u64) / rate;
                    std::thread::spawn(move || {
                        std::thread::sleep(took);
                        reply.data(&data);
                    });
                }
            },
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.state();
        let well = state.is_well(Call::Write, number);
        if well.is_err() || (offset == 0 && state.fails_content(Call::Write, data)) {
            return reply.error(Errno::EIO);
        }
        let now = state.tree.now();
        let altered = state.altered > 0 && data.len() >= ALTERED_MIN;
        state.altered -= u32::from(altered);
        match state.tree.change(number) {
            Ok(node) => {
                node.mtime = now;
                if let Content::File(bytes) = &mut node.content {
                    let (from, to) = (offset as usize, offset as usize + data.len());
                    bytes.resize(bytes.len().max(to), 0);
                    bytes[from..to].copy_from_slice(data);
                    if altered && from < to {
                        bytes[from] ^= 1;
                    }
                }
                reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Not late: what is opened was looked for before.
        match self.state_at_once().is_well(Call::OpenDirectory, number) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut state = self.state();
        let mut entries: Vec<_> = match state.tree.entries(number) {
            Ok(entries) => entries.clone().into_iter().collect(),
            Err(errno) => return reply.error(errno),
        };
        if state.tree.tells_dots() {
            // Of `..` nobody believes the number.
            entries.extend([".", ".."].map(|dots| (dots.into(), number.0)));
        }
        let (offset, half) = (offset as usize, entries.len() / 2);
        let fault = state.fault(Call::ReadDirectory, number);
        if fault.is_some() && offset >= half {
            return match fault {
                Some(Fault::Hangs) => state.waiting.push(Waiting::Directory(reply)),
                _ => reply.error(Errno::EIO),
            };
        }
        let told = if fault.is_some() { half } else { entries.len() };
        for (at, (name, number)) in entries.iter().enumerate().take(told).skip(offset) {
            let kind = match state.tree.attributes(INodeNo(*number)) {
                Ok(attributes) => attributes.kind,
                Err(errno) => return reply.error(errno),
            };
            if reply.add(INodeNo(*number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        command: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        match command == GET_FLAGS && self.state().tree.tells_folding() {
            true => reply.ioctl(0, &CASEFOLD.to_ne_bytes()),
            false => reply.error(Errno::ENOTTY),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn setxattr(
        &self,
        _: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        if name.as_bytes().starts_with(b"system.") {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let mut state = self.state();
        let set = state.tree.change(number).map(|node| {
            node.xattrs.insert(name.to_owned(), value.to_vec());
        });
        empty(reply, set);
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.state().tree.node(number) {
            Ok(node) => match node.xattrs.get(name) {
                Some(bytes) => value(reply, size, bytes),
                None => reply.error(Errno::ENODATA),
            },
            Err(errno) => reply.error(errno),
        }
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        match self.state().tree.node(number) {
            Ok(node) => {
                let names = node.xattrs.keys();
                let list: Vec<u8> = names
                    .flat_map(|name| name.as_bytes().iter().copied().chain([0]))
                    .collect();
                value(reply, size, &list);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn removexattr(&self, _: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = match self.state().tree.change(number) {
            Ok(node) => node.xattrs.remove(name).map(|_| ()).ok_or(Errno::ENODATA),
            Err(errno) => Err(errno),
        };
        empty(reply, removed);
    }
}

"""File systems for the benchmark, in sparse files on loop devices: one for the sources, one for the destination, which
is new for every run.

Why not `rm -rf` between runs: ext4 avoids inodes that were freed in the last minutes, and creating a file then takes
many times as long. The run after a removal measures the removal.

The destination's file lies in memory: what the disk of this machine does at the moment would be most of a run otherwise,
and nobody's merit. The mounts are made in a mount namespace of the benchmark's own (see `enter_namespace`), so that they
and their loop devices are gone when its last process is, even one that was killed.
"""

import contextlib
import fcntl
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

GIB = 1 << 30
SIZE = 24 << 30
# Of a destination for small workloads; xfs wants some room.
SMALLEST = 2 << 30
SOURCES = 48 << 30
MAKE = {
    # Nothing is left for the kernel to initialise in the background while a contestant runs.
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,discard"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
# Room for the inodes of all workloads.
MAKE_SOURCES = ["mkfs.ext4", "-q", "-F", "-i", "8192"]
# `linux/fs.h`; file systems take the flag of xfs, but btrfs.
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
INSIDE = "BLIT_BENCH_NAMESPACE"


def enter_namespace() -> None:
    """Starts this program again, inside a mount namespace of its own."""
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"  # read by the process that replaces this one
        program = ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv]
        os.execvp(program[0], program)


class Sources:
    """The file system that holds the workloads; it stays between sessions, in one file that is quickly deleted."""

    def __init__(self, work: Path) -> None:
        self.image = work / "source.img"
        self.folder = work / "source"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.image.exists():
            new = work / "source.img.new"
            sparse_file(new, SOURCES)
            command([*MAKE_SOURCES, str(new)])
            new.rename(self.image)
        self.mount()

    def mount(self) -> None:
        command(["mount", "-o", "loop", str(self.image), str(self.folder)])

    def forget(self) -> None:
        """Nothing of the sources is in memory any more."""
        command(["umount", str(self.folder)])
        with open(self.image, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.mount()


class Destinations:
    """Makes file systems that are unmounted and deleted when their context ends."""

    def __init__(self, kind: str, work: Path, scale: float = 1.0) -> None:
        self.kind = kind
        self.size = max(int(SIZE * scale), SMALLEST)
        self.memory = work / "memory"
        self.memory.mkdir(parents=True, exist_ok=True)
        if not os.path.ismount(self.memory):
            command(["mount", "-t", "tmpfs", "-o", "size=90%", "tmpfs", str(self.memory)])
        self.image = self.memory / "destination.img"
        self.mount_point = work / "destination"
        self.mount_point.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def fresh(self, kept: Path | None = None) -> Iterator[Path]:
        """A new one, or a copy of what `keep` has kept; its tree."""
        self.remove()
        try:
            if kept:
                command(["cp", "--sparse=always", str(kept), str(self.image)])
            else:
                sparse_file(self.image, self.size)
                command([*MAKE[self.kind], str(self.image)])
            command(["mount", "-o", "loop", str(self.image), str(self.mount_point)])
            tree = self.mount_point / "tree"
            tree.mkdir(exist_ok=True)
            command(["sync", "--file-system", str(self.mount_point)])
            if kept:
                # As the others find theirs, which was written a moment ago.
                command(["du", "-s", str(tree)])
            yield tree
        finally:
            self.remove()

    def keep(self, fill: Callable[[Path], None]) -> Path:
        """Keeps a file system that somebody has filled, for `fresh`."""
        kept = self.memory / "kept.img"
        with self.fresh() as tree:
            fill(tree)
            command(["umount", str(self.mount_point)])
            self.image.rename(kept)
        return kept

    def remove(self) -> None:
        if os.path.ismount(self.mount_point):
            shut_down(self.mount_point)
            command(["umount", str(self.mount_point)])
        self.image.unlink(missing_ok=True)


def shut_down(mount_point: Path) -> None:
    """Makes a file system forget what it has not written yet: nobody will read it, and unmounting would wait for it."""
    with contextlib.suppress(OSError):
        fd = os.open(mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)


def touch_memory(size: int) -> None:
    """Uses so much memory for a moment, if it is there.

    A virtual machine may have given its free memory back to its host; whoever gets a page first then waits for the
    host, several microseconds for each, which can be more than the whole run takes.
    """
    free = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("MemFree:"))
    if (size := min(size, free - GIB)) > 0:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def sparse_file(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def command(arguments: list[str]) -> None:
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(arguments)}` failed: {result.stderr.strip()}")

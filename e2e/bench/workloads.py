"""The trees that are copied. Seeded: the same names, sizes and bytes on every machine.

Non-goals: odd names, ACLs, special files. Those are about correctness, which the tests check.
"""

import functools
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
# Written beside a finished tree; a tree without it was interrupted and is made again.
VERSION = "2"


def small(root: Path, scale: float) -> None:
    """100,000 files of 1 to 10 KiB, 500 a directory."""
    fill(root, "small", of(100_000, scale), 500, (1 << 10, 10 << 10))


def large(root: Path, scale: float) -> None:
    """One file of 4 GiB that nothing can compress."""
    rng = random.Random("large")
    with open(root / "large.dat", "wb") as file:
        for _ in range(of(256, scale)):
            file.write(rng.randbytes(16 * MIB))


def twenty(root: Path, scale: float) -> None:
    """20,000 files of 1 to 10 KiB, 500 a directory."""
    fill(root, "twenty", of(20_000, scale), 500, (1 << 10, 10 << 10))


def mixed(root: Path, scale: float) -> None:
    """1,000 files from some bytes to 256 MiB, log-normally distributed: most are small, most bytes are in few."""
    rng = random.Random("mixed")
    pool = rng.randbytes(16 * MIB)
    for number in range(of(1000, scale)):
        directory = root / f"{number % 40:02d}"
        directory.mkdir(exist_ok=True)
        left = min(int(rng.lognormvariate(12.5, 2.2)), 256 * MIB)
        with open(directory / f"{number:04d}.dat", "wb") as file:
            while left > 0:
                left -= file.write(pool[: min(left, len(pool))])


def sparse(root: Path, scale: float) -> None:
    """20 files of 1 GiB with 40 pieces of 128 KiB of data each, as images of disks have them."""
    rng = random.Random("sparse")
    for number in range(of(20, scale)):
        with open(root / f"{number:02d}.img", "wb") as file:
            file.truncate(GIB)
            for _ in range(40):
                file.seek(rng.randrange(0, GIB - 128 * 1024, 4096))
                file.write(rng.randbytes(128 * 1024))


def flat(root: Path, scale: float) -> None:
    """100,000 files of 1 to 10 KiB in one directory, the root."""
    count = of(100_000, scale)
    fill(root, "flat", count, count, (1 << 10, 10 << 10))


def below(root: Path, scale: float) -> None:
    """100,000 files of 1 to 10 KiB in one directory, which is not the root."""
    directory = root / "files"
    directory.mkdir()
    flat(directory, scale)


def many(root: Path, scale: float) -> None:
    """300,000 files of up to 4 KiB, 500 a directory."""
    fill(root, "many", of(300_000, scale), 500, (1, 4 << 10))


def million(root: Path, scale: float) -> None:
    """1,000,000 files of up to 1 KiB, 500 a directory."""
    fill(root, "million", of(1_000_000, scale), 500, (1, 1 << 10))


def attributes(root: Path, scale: float) -> None:
    """100,000 files of 1 to 10 KiB with one extended attribute each, 500 a directory."""

    def name(fd: int, number: int) -> None:
        os.setxattr(fd, "user.origin", b"workload %d" % number)

    fill(root, "attributes", of(100_000, scale), 500, (1 << 10, 10 << 10), name)


def names(root: Path, scale: float) -> None:
    """1,000,000 names: 100,000 files of up to 1 KiB with ten hard links each, every link in another directory."""
    fill(root, "names", of(100_000, scale), 500, (1, 1 << 10))
    link_all(root, 9)


def pairs(root: Path, scale: float) -> None:
    """200,000 link groups: empty files with two names each, in different directories."""
    fill(root, "pairs", of(200_000, scale), 500, (0, 0))
    link_all(root, 1)


def directories(root: Path, scale: float) -> None:
    """100,000 empty directories, 100 in each of 1,000."""
    for number in range(of(100_000, scale)):
        os.makedirs(root / f"{number // 100:04d}" / f"{number % 100:02d}")


def wide(root: Path, scale: float) -> None:
    """One directory, the root, of 1,000,000 empty files."""
    count = of(1_000_000, scale)
    fill(root, "wide", count, count, (0, 0))


def tiny(root: Path, scale: float) -> None:
    """200 files of 1 to 10 KiB, 20 a directory, whatever the scale."""
    fill(root, "tiny", 200, 20, (1 << 10, 10 << 10))


def several(root: Path, scale: float) -> None:
    """500 files of 1 to 10 KiB, 25 a directory, whatever the scale."""
    fill(root, "several", 500, 25, (1 << 10, 10 << 10))


def nothing(root: Path, scale: float) -> None:
    """An empty directory."""


WORKLOADS: dict[str, Callable[[Path, float], None]] = {
    workload.__name__: workload
    for workload in (
        small, twenty, large, mixed, sparse, flat, below, many, million, attributes, names, pairs, directories, wide, tiny, several, nothing,
    )
}


def of(count: int, scale: float) -> int:
    return max(1, int(count * scale))


def fill(
    root: Path, seed: str, count: int, per_directory: int, sizes: tuple[int, int], also: Callable[[int, int], None] | None = None
) -> None:
    rng = random.Random(seed)
    pool = rng.randbytes(MIB)
    directory = -1
    for number in range(count):
        block = number // per_directory
        if number % per_directory == 0:
            if directory >= 0:
                os.close(directory)
            # All in one directory: in the root itself.
            path = root if count == per_directory else root / f"{block // 20:02d}" / f"{block % 20:02d}"
            path.mkdir(parents=True, exist_ok=True)
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        size = rng.randint(*sizes)
        start = rng.randrange(len(pool) - size)
        # Unbuffered os calls: a Path.write_bytes for each file would take twice as long.
        fd = os.open(f"{number:06d}.dat", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
        if size:
            os.write(fd, pool[start : start + size])
        if also:
            also(fd, number)
        os.close(fd)
    os.close(directory)


def link_all(root: Path, more: int) -> None:
    """Gives every file more names, in trees of their own beside the first."""
    firsts = sorted(os.scandir(root), key=lambda entry: entry.name)
    for number in range(more):
        for first in firsts:
            for directory, _, files in os.walk(first.path):
                other = root / f"links-{number}" / os.path.relpath(directory, root)
                other.mkdir(parents=True)
                for name in files:
                    os.link(os.path.join(directory, name), other / name)


@dataclass(frozen=True)
class State:
    """What the destination holds when a contestant begins."""

    shown: str
    # (source, destination): brings it about, in the same way for all contestants.
    make: Callable[[Path, Path], None]
    # The workload that it is made from; that of the row if None.
    workload: str | None = None
    # Made anew for every run: it takes no longer than to copy a file system that has it, and less memory.
    each_time: bool = False
    # Names and sizes are those of the source already, so that only content shows whether something was done.
    same_sizes: bool = False


def copied(source: Path, destination: Path) -> None:
    subprocess.run(["cp", "-a", f"{source}/.", f"{destination}/"], check=True)


def outdated(source: Path, destination: Path) -> None:
    """Every file has other content, another length, and an older time than the source's."""
    for directory, _, files in os.walk(source):
        other = destination / os.path.relpath(directory, source)
        other.mkdir(parents=True, exist_ok=True)
        for name in files:
            (other / name).write_bytes(b"outdated")
            os.utime(other / name, (1_000_000_000, 1_000_000_000))


def nearly(source: Path, destination: Path) -> None:
    """One file of a hundred is outdated, and beside it lies one that the source does not have (any more)."""
    copied(source, destination)
    for number, path in enumerate(sorted(files_below(destination))):
        if number % 100 == 0:
            with open(path, "ab") as file:
                file.write(b"changed")
            os.utime(path, (1_000_000_000, 1_000_000_000))
            Path(f"{path}.deleted").write_bytes(b"deleted")


def older(source: Path, destination: Path) -> None:
    """Of every 64 MiB of a file 1 MiB is other than in the source, never at the same place of them."""
    copied(source, destination)
    rng = random.Random("older")
    for path in sorted(files_below(destination)):
        size = os.stat(path).st_size
        stretch = min(64 * MIB, size)
        with open(path, "r+b") as file:
            for start in range(0, size - stretch + 1, stretch):
                piece = stretch // 64
                file.seek(start + rng.randrange(stretch - piece))
                file.write(rng.randbytes(piece))
        os.utime(path, (1_000_000_000, 1_000_000_000))


def beside(source: Path, destination: Path) -> None:
    copied(source, source_beside(destination))


def source_beside(destination: Path) -> Path:
    """Where a source is that lies on the file system of the destination."""
    folder = destination.parent / "source"
    folder.mkdir(exist_ok=True)
    return folder


EMPTY = State("empty", lambda source, destination: None)
BESIDE = State("empty, and the source lies on the same file system", beside, each_time=True)
COPIED = State("what `cp -a` has made of the source", copied)
OUTDATED = State("a file of other length and older time under every name", outdated)
SMALL = State("the workload small, which is to go", copied, "small")
MANY = State("the workload many, which is to go", copied, "many")
OLDER = State("the file as it was before 1 MiB in every 64 MiB of it changed, with an older time", older, each_time=True, same_sizes=True)
NEARLY = State("a copy with 1 % of the files outdated, and 1 % more files than the source has", nearly)


def files_below(root: Path) -> Iterator[str]:
    for directory, _, names in os.walk(root):
        for name in names:
            yield os.path.join(directory, name)


def make(name: str, parent: Path, scale: float) -> Path:
    """Makes the tree of a workload unless an earlier run has; returns its root."""
    root = parent / f"{name}-{scale:g}"
    mark = parent / f"{name}-{scale:g}.{VERSION}.done"
    if not mark.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        WORKLOADS[name](root, scale)
        mark.touch()
    return root


def warm(root: Path) -> None:
    """Reads every data byte once, so that each contestant finds the source in memory. Holes are left alone."""
    paths, holed = to_read(root)
    subprocess.run(["xargs", "-0", "-r", "cat"], input=paths, stdout=subprocess.DEVNULL, check=True)
    for path in holed:
        fd = os.open(path, os.O_RDONLY)
        try:
            for start, end in extents(fd):
                while start < end:
                    start += len(os.pread(fd, min(4 * MIB, end - start), start)) or end
        finally:
            os.close(fd)


@functools.cache
def to_read(root: Path) -> tuple[bytes, list[str]]:
    """The files of a source, for xargs, and apart from them those that have holes."""
    dense, holed = [], []
    for path in files_below(root):
        found = os.lstat(path)
        (holed if found.st_blocks * 512 < found.st_size else dense).append(path)
    return b"\0".join(os.fsencode(path) for path in dense), holed


@functools.cache
def wanted(root: Path) -> dict[str, int]:
    """What [`contents`] says of a source, which stays as it is."""
    return contents(root)


def extents(fd: int) -> list[tuple[int, int]]:
    """The ranges of a file that are data."""
    size = os.fstat(fd).st_size
    found, position = [], 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError:  # ENXIO: a hole up to the end
            break
        position = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, position))
    return found


def contents(root: Path) -> dict[str, int]:
    """Path and size of every file, and path of every directory: what a contestant must have produced."""
    found = {}
    for directory, _, names in os.walk(root):
        relative = os.path.relpath(directory, root)
        found[f"{relative}/"] = 0
        for name in names:
            found[f"{relative}/{name}"] = os.lstat(os.path.join(directory, name)).st_size
    return found


def content(root: Path) -> int:
    """Bytes in the files of a source."""
    return sum(wanted(root).values())


@functools.cache
def held(root: Path) -> int:
    """What [`allocated`] says of a source, which stays as it is."""
    return allocated(root)


def allocated(root: Path) -> int:
    """Bytes of storage that the files of a tree take."""
    return sum(os.lstat(path).st_blocks * 512 for path in files_below(root))

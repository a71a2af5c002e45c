"""The trees that are copied. Seeded: the same names, sizes and bytes on every machine.

Non-goals: links, attributes and odd names. Those are about correctness, which the tests check.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
# Written beside a finished tree; a tree without it was interrupted and is made again.
VERSION = "1"


def small(root: Path, scale: float) -> None:
    """100,000 files of 1 to 10 KiB, 500 a directory."""
    rng = random.Random("small")
    pool = rng.randbytes(MIB)
    for number in range(max(1, int(100_000 * scale))):
        block = number // 500
        directory = root / f"{block // 20:02d}" / f"{block % 20:02d}"
        if number % 500 == 0:
            directory.mkdir(parents=True)
        size = rng.randint(1 << 10, 10 << 10)
        start = rng.randrange(len(pool) - size)
        # Unbuffered os calls: a Path.write_bytes for each file would take twice as long.
        fd = os.open(directory / f"{number:06d}.dat", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, pool[start : start + size])
        os.close(fd)


def large(root: Path, scale: float) -> None:
    """One file of 4 GiB that nothing can compress."""
    rng = random.Random("large")
    with open(root / "large.dat", "wb") as file:
        for _ in range(max(1, int(256 * scale))):
            file.write(rng.randbytes(16 * MIB))


def mixed(root: Path, scale: float) -> None:
    """1,000 files from some bytes to 256 MiB, log-normally distributed: most are small, most bytes are in few."""
    rng = random.Random("mixed")
    pool = rng.randbytes(16 * MIB)
    for number in range(max(1, int(1000 * scale))):
        directory = root / f"{number % 40:02d}"
        directory.mkdir(exist_ok=True)
        left = min(int(rng.lognormvariate(12.5, 2.2)), 256 * MIB)
        with open(directory / f"{number:04d}.dat", "wb") as file:
            while left > 0:
                left -= file.write(pool[: min(left, len(pool))])


def sparse(root: Path, scale: float) -> None:
    """20 files of 1 GiB with 40 pieces of 128 KiB of data each, as images of disks have them."""
    rng = random.Random("sparse")
    for number in range(max(1, int(20 * scale))):
        with open(root / f"{number:02d}.img", "wb") as file:
            file.truncate(GIB)
            for _ in range(40):
                file.seek(rng.randrange(0, GIB - 128 * 1024, 4096))
                file.write(rng.randbytes(128 * 1024))


WORKLOADS: dict[str, Callable[[Path, float], None]] = {
    "small": small,
    "large": large,
    "mixed": mixed,
    "sparse": sparse,
}


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
    for directory, _, names in os.walk(root):
        for name in names:
            fd = os.open(os.path.join(directory, name), os.O_RDONLY)
            try:
                for start, end in extents(fd):
                    while start < end:
                        start += len(os.pread(fd, min(4 * MIB, end - start), start)) or end
            finally:
                os.close(fd)


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
    """Path and size of every file: what a contestant must have produced."""
    return {
        os.path.relpath(os.path.join(directory, name), root): os.lstat(os.path.join(directory, name)).st_size
        for directory, _, names in os.walk(root)
        for name in names
    }


def allocated(root: Path) -> int:
    """Bytes of storage that the files of a tree take."""
    return sum(
        os.lstat(os.path.join(directory, name)).st_blocks * 512
        for directory, _, names in os.walk(root)
        for name in names
    )

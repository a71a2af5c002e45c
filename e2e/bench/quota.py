"""A control group with a quota of processor time: what `resources.limits.cpu` of a pod is to the kernel.

It is made for one run and removed after it. Both versions of control groups are known, since a machine for tests may have either.

Non-goals: other limits of a pod. Memory is measured, not limited, and its system calls are `confine.py`'s.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What Kubernetes gives the kernel as well: the quota is for each of these spans, in microseconds.
PERIOD_US = 100_000

NUMBERS = itertools.count(1)


@contextmanager
def processors(count: float, mounts: Path = Path("/proc/self/mounts")) -> Iterator[Callable[[], None]]:
    """What a process calls to enter a group that may use so many processors. The group is gone with the context."""
    parent, version = hierarchy(mounts.read_text())
    group = parent / f"blit-bench-{os.getpid()}-{next(NUMBERS)}"
    group.mkdir()
    try:
        for name, value in limits(count, version).items():
            (group / name).write_text(value)
        # Opened here: between fork and exec little is safe.
        entrance = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield lambda: os.write(entrance, b"0")
        finally:
            os.close(entrance)
    finally:
        group.rmdir()


def limits(count: float, version: int) -> dict[str, str]:
    """The files of a group, by name (pure)."""
    quota = round(count * PERIOD_US)
    if version == 2:
        return {"cpu.max": f"{quota} {PERIOD_US}"}
    return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}


def hierarchy(mounts: str) -> tuple[Path, int]:
    """Where groups with a quota are made, and the version of these groups, from `/proc/self/mounts` (pure but for a look at controllers)."""
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split(" ")
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(place), 1
        if kind == "cgroup2" and controls(Path(place)):
            return Path(place), 2
    raise SystemExit("bench: no hierarchy of control groups here has the controller `cpu`; mount one, or leave out the rows of section Processors")


def controls(root: Path) -> bool:
    """Whether groups below the root of version 2 have the controller; it is handed down if it is not yet."""
    try:
        if "cpu" not in (root / "cgroup.controllers").read_text().split():
            return False
        (root / "cgroup.subtree_control").write_text("+cpu")
    except OSError:
        return False
    return True

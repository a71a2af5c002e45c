"""Runs one program and says how long it took, what processor time, and how much memory.

GNU time starts the program, because the peak that the kernel reports for a child includes what its starter held, and
Python holds more than some contestants.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figures:
    wall_seconds: float
    # User and system time of all processes of the contestant.
    cpu_seconds: float
    # Of the contestant's largest process.
    peak_mib: float
    # Of the wall seconds, those spent in the final syncfs; None where the contestant makes none.
    sync_seconds: float | None = None
    # From its start to the first byte of content that it wrote; None where it does not say.
    first_byte_seconds: float | None = None
    # What went over the wire, in both directions; None where there is none.
    wire_mib: float | None = None


def run(arguments: list[str], record: Path, before: Callable[[], None] | None = None) -> tuple[Figures, str]:
    """The figures and the standard output of a program that must succeed. `before` is what its process does to itself first."""
    begin = time.monotonic()
    with started(arguments, record, before=before) as process:
        output, errors = process.communicate()
        wall = time.monotonic() - begin
    if process.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(arguments)}` failed with {process.returncode}:\n{errors[-4000:]}")
    cpu, peak = read(record)
    return Figures(wall, cpu, peak), output


@contextmanager
def started(
    arguments: list[str], record: Path, stdin: int = subprocess.DEVNULL, before: Callable[[], None] | None = None
) -> Iterator[subprocess.Popen]:
    """A program under GNU time, in a process group of its own that does not outlive the context."""
    process = subprocess.Popen(
        ["/usr/bin/time", "--quiet", "--format", "%U %S %M", "--output", str(record), *arguments],
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=before,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def read(record: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB, as GNU time wrote them."""
    user, system, kib = record.read_text().split()
    return float(user) + float(system), int(kib) / 1024

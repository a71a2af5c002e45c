#!/usr/bin/env python3
"""Measures Blit against its peers, row by row, and prints or writes what came out.

Figures of rows that are not measured again are kept, each with its date, commit and load, so a page can be
measured in several sittings. Needs root for the file systems, and Python's standard library. `make bench` is the way
to start it.
"""

import argparse
import datetime
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import contestants
import report
import workloads
from contestants import Contestant, Programs
from filesystem import MAKE, Destinations, Sources, enter_namespace, touch_memory
from measure import Figures
from report import Record
from rows import ROWS, Row

REPOSITORY = Path(__file__).resolve().parents[2]
# What is lost and why, written by hand.
FINDINGS = Path(__file__).parent / "findings.md"
# Others' share of the processors that is called idle, and how long it is waited for.
IDLE = 0.05
PATIENCE = 30


def main() -> None:
    options = arguments()
    book = report.Book.read(options.figures, machine(options.programs))
    if options.measure:
        if os.geteuid() != 0:
            raise SystemExit("bench: makes and mounts file systems, so it needs root: run `make bench` as root")
        enter_namespace()
        # A signal unwinds, so that the file system of the moment is unmounted and deleted.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        bench = Bench(options)
        for kind in options.fs:
            for row in chosen(options, kind):
                book.add(bench.record(row, kind))
                book.keep(options.figures)
    print(f"\n{report.for_terminal(book, options.only)}")
    if options.write:
        options.write.write_text(report.for_docs(book, remarks(), FINDINGS.read_text()))
        print(f"\nwritten: {options.write}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blit", type=Path, required=True, help="the program")
    parser.add_argument("--peers", type=Path, help="folder with cpz and xcp; without it they are left out")
    parser.add_argument("--late", type=Path, help="program that serves a tree late, for the row `late`")
    parser.add_argument("--floor", type=Path, help="program that makes the calls of a mirror only; without it it is left out")
    parser.add_argument("--work", type=Path, required=True, help="folder for sources and file systems")
    parser.add_argument("--figures", type=Path, help="JSON file that keeps the figures (WORK/figures.json)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant; medians are reported")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the workloads; 1 is the size to publish")
    parser.add_argument("--fs", choices=MAKE, nargs="+", default=list(MAKE), help="file systems of the destination")
    parser.add_argument("--only", choices=[row.name for row in ROWS], nargs="+", metavar="ROW", help="rows, if not all")
    parser.add_argument("--contestants", nargs="+", help="with --only: contestants, if not all")
    parser.add_argument("--commit", default=commit(), help="what the program was built from, if not this checkout")
    parser.add_argument("--prepare", action="store_true", help="only make the sources")
    parser.add_argument("--no-measure", dest="measure", action="store_false", help="only print and write what is kept")
    parser.add_argument("--write", type=Path, help="Markdown page to write")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    options.figures = (options.figures or options.work / "figures.json").resolve()
    others = (path.resolve() if path else None for path in (options.peers, options.late, options.floor))
    options.programs = Programs(options.blit.resolve(), *others)
    if options.scale != 1 and (options.write or options.figures.parent != options.work):
        parser.error("only figures of full size are worth a page: --write and --figures need --scale 1")
    return options


def chosen(options: argparse.Namespace, kind: str) -> list[Row]:
    return [row for row in ROWS if kind in row.filesystems and (not options.only or row.name in options.only)]


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.lock = open(self.options.work / "lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"bench: another benchmark runs in {self.options.work}; wait for it, or give another --work") from None
        self.sources = Sources(options.work)
        for kind in options.fs:
            for row in chosen(options, kind):
                self.source(row.workload)
                self.source(row.before.workload or row.workload)
        if options.prepare:
            raise SystemExit(0)

    def source(self, name: str) -> Path:
        return workloads.make(name, self.sources.folder, self.options.scale)

    def record(self, row: Row, kind: str) -> Record:
        source = self.source(row.workload)
        workloads.warm(source)
        entered = row.field(self.options.programs)
        if self.options.contestants:
            entered = [contestant for contestant in entered if contestant.name in self.options.contestants]
        # Figures of a smaller size are for nobody.
        others = wait_for_idle(PATIENCE if self.options.scale == 1 else 0)
        runs: dict[str, list[Figures]] = {contestant.name: [] for contestant in entered}
        with self.places(row, kind) as place:
            for round_ in range(1 if row.once else self.options.runs):
                # Nobody always runs first.
                turn = round_ % len(entered)
                for contestant in entered[turn:] + entered[:turn]:
                    taken = self.one_run(row, contestant, source, place)
                    runs[contestant.name].append(taken)
                    print(
                        f"{row.name}, {kind}, run {round_ + 1}: {contestant.name} {taken.wall_seconds:.3f} s,"
                        f" {taken.cpu_seconds:.2f} s of processors, {taken.peak_mib:.0f} MiB",
                        file=sys.stderr,
                        flush=True,
                    )
        content = workloads.content(source) / workloads.GIB
        today = datetime.date.today().isoformat()
        kernel = f"{platform.system()} {platform.release()}"
        return Record(row.name, kind, today, self.options.commit, others, runs, content, kernel)

    @contextmanager
    def places(self, row: Row, kind: str) -> Iterator[Callable]:
        """Yields what makes a place for one run, in the state that the row begins with."""
        destinations = Destinations(kind, self.options.work, self.options.scale)
        origin = self.source(row.before.workload or row.workload)

        def fill(tree: Path) -> None:
            row.before.make(origin, tree)

        if not row.changes:
            with destinations.fresh() as tree:
                fill(tree)
                yield lambda: unchanged(tree)
        elif row.before is workloads.EMPTY:
            yield destinations.fresh
        elif row.before.each_time:
            yield lambda: filled(destinations, fill)
        else:
            kept = destinations.keep(fill)
            try:
                yield lambda: destinations.fresh(kept)
            finally:
                kept.unlink()

    def one_run(self, row: Row, contestant: Contestant, source: Path, place: Callable) -> Figures:
        with place() as destination:
            if row.cold:
                self.sources.forget()
            elif row.workload != "nothing":
                workloads.warm(source)
            os.sync()
            if row.changes:
                touch_memory(self.needs(row))
            origin = workloads.source_beside(destination) if row.before is workloads.BESIDE else source
            figures = contestant.measure(origin, destination, self.options.work)
            if contestant.copies:
                check(contestant, source, destination)
                if row.before.same_sizes:
                    compare(contestant, source, destination)
        return figures

    def needs(self, row: Row) -> int:
        """Bytes of memory that a copy takes, roughly: the content in the destination and in the file that holds it,
        inodes on both sides."""
        source = self.source(row.workload)
        return 2 * workloads.held(source) + 4096 * len(workloads.wanted(source)) + (256 << 20)


@contextmanager
def filled(destinations: Destinations, fill: Callable[[Path], None]) -> Iterator[Path]:
    with destinations.fresh() as tree:
        fill(tree)
        yield tree


@contextmanager
def unchanged(tree: Path) -> Iterator[Path]:
    """A place that stays as it is."""
    yield tree


def check(contestant: Contestant, source: Path, destination: Path) -> None:
    """A contestant that left something out, or filled the holes, has not won anything."""
    expected = workloads.wanted(source)
    if workloads.contents(destination) != expected:
        raise SystemExit(f"bench: {contestant.name} has not made the destination what {source} is")
    # Half of the holes are room enough for how differently file systems place the same data (xfs allocates ahead);
    # the exact map of holes is the tests' business.
    data = workloads.held(source)
    if workloads.allocated(destination) > max(data, (data + sum(expected.values())) / 2) * 1.1 + workloads.MIB:
        raise SystemExit(f"bench: {contestant.name} has filled the holes of {source}")


def compare(contestant: Contestant, source: Path, destination: Path) -> None:
    if subprocess.run(["diff", "-r", "-q", source, destination], stdout=subprocess.DEVNULL).returncode != 0:
        raise SystemExit(f"bench: {contestant.name} has left content in the destination that is not that of {source}")


def wait_for_idle(patience: float) -> float:
    """Waits until others leave the processors alone, so many seconds; returns what share of them they take after all."""
    end = time.monotonic() + patience
    while (others := busy()) > IDLE and time.monotonic() < end:
        pass
    return others


def busy() -> float:
    """Share of all processors that was in use during one second in which this program did nothing."""
    before = processor_ticks()
    time.sleep(1)
    after = processor_ticks()
    total = sum(after) - sum(before)
    # The fourth and the fifth are idle, and idle with reads and writes under way.
    idle = sum(after[3:5]) - sum(before[3:5])
    return max(0.0, 1 - idle / max(total, 1))


def processor_ticks() -> list[int]:
    first = Path("/proc/stat").read_text().splitlines()[0]
    return [int(ticks) for ticks in first.split()[1:9]]


def commit() -> str:
    git = ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY)]
    return contestants.version([*git, "describe", "--always", "--dirty", "--abbrev=12"])


def machine(programs: Programs) -> dict[str, str]:
    """What all figures of one page must have in common."""
    cpu = first_value("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((first_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / (1 << 20)
    found = {
        "machine": f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB of memory",
    }
    for peer in ("rsync", "cp", "tar", "xcp", "cpz"):
        if programs.have(peer):
            found[peer] = contestants.version([programs.path(peer), "--version"])
    return found


def first_value(path: str, key: str) -> str | None:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def remarks() -> list[str]:
    used = dict.fromkeys(row.workload for row in ROWS)
    return [
        *(f"{name}: {' '.join((workloads.WORKLOADS[name].__doc__ or '').split())}" for name in used),
        "Sources lie on ext4, on a loop device whose file is on the machine's disk; they are read into memory before each run.",
        "Every run that changes its destination gets a file system of its own, on a loop device whose file is in memory. Where "
        "the destination is to hold something, that was made once, and each run gets a copy of the file system.",
        "Before every run so much memory as it needs is used and freed: this machine is a virtual one, whose host takes free "
        "memory away and is slow to give it back; the first to run after a pause would pay for all others.",
        "Contestants run in turn, and nobody always first. Medians are reported.",
        "After every run names and sizes are compared, and that no hole was filled; content too where the destination has the same sizes before.",
        "Blit and cp find holes by themselves; rsync and tar get `-S` where there are some, and only there.",
        "What is kept: Blit and `rsync -aHAX` keep hard links, ACLs and extended attributes; `cp -a` too; this `tar`, xcp and cpz "
        "keep less (cpz: modes only), so their times are a floor rather than a rival.",
        "`floor` makes the system calls that a mirror with Blit's promises needs, on as many threads, and does nothing else: it "
        "plans nothing, keeps no order, no links, no state, and no attributes but mode and time. \"The calls alone\" says which "
        "ratio it would reach; what Blit takes beyond it is Blit's own, what it takes is the kernel's.",
        "Peak memory is that of the largest single process, as the kernel counted it.",
        "What is on the wire is what the card of the sending host counted in both directions, from the start of its program to the end; "
        "packets between the two are up to 64 KiB large, with one header each.",
        "No contestant's time includes writing back what is still in memory when it ends, except where a sync is named.",
    ]


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures Blit against its peers and prints, or writes, what came out.

Needs root for the file systems, and Python's standard library. `make bench` is the way to start it.
"""

import argparse
import datetime
import fcntl
import json
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import contestants
import report
import workloads
from contestants import Contestant
from filesystem import MAKE, FreshFilesystem, enter_namespace
from measure import Figures

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> None:
    options = arguments()
    if os.geteuid() != 0:
        raise SystemExit("bench: makes and mounts file systems, so it needs root: run `make bench` as root")
    enter_namespace()
    # A signal unwinds, so that the file system of the moment is unmounted and deleted.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    bench = Bench(options)
    # Before the first run: the checkout, and what else is running, may be different after the last.
    where_and_when = facts(options)
    sections = [bench.local(), bench.unchanged(), bench.loopback()]
    print(f"\n{report.for_terminal(sections)}")
    keep_figures(options.work / "figures.json", sections)
    if options.write:
        options.write.write_text(report.for_docs(sections, where_and_when, remarks(options)))
        print(f"\nwritten: {options.write}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blit", type=Path, required=True, help="the program")
    parser.add_argument("--work", type=Path, required=True, help="folder for sources, file systems and figures")
    parser.add_argument("--runs", type=int, default=3, help="runs of each contestant; medians are reported")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the workloads; 1 is the size to publish")
    parser.add_argument("--fs", choices=MAKE, default=os.environ.get("FS", "ext4"), help="file system of the destination")
    parser.add_argument("--only", choices=workloads.WORKLOADS, nargs="+", default=list(workloads.WORKLOADS), help="workloads")
    parser.add_argument("--write", type=Path, help="Markdown page to write")
    options = parser.parse_args()
    options.blit, options.work = options.blit.resolve(), options.work.resolve()
    if options.write and options.scale != 1:
        parser.error("only figures of full size are worth a page: --write needs --scale 1")
    return options


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.options.work.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.options.work / "lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"bench: another benchmark runs in {self.options.work}; wait for it, or give another --work") from None
        self.sources = {name: self.source(name) for name in options.only}

    def source(self, name: str) -> Path:
        print(f"making the workload {name}, unless it is there", file=sys.stderr)
        return workloads.make(name, self.options.work / "source", self.options.scale)

    def local(self) -> report.Section:
        return self.section(
            "Local copy",
            "From one file system to an empty one of another device.",
            lambda name: contestants.local(self.options.blit, sparse=name == "sparse"),
            list(self.sources),
        )

    def unchanged(self) -> report.Section:
        return self.section(
            "Nothing changed",
            "The same command again, on what the same program has just copied.",
            lambda _: contestants.unchanged(self.options.blit),
            list(self.sources)[:1],
            passes=2,
        )

    def loopback(self) -> report.Section:
        return self.section(
            "Two processes over loopback TCP",
            "Blit runs a MirrorJob: two movers, mutual TLS for control, and a syncfs before it reports success, which rsync does\n"
            "not make; that part is given apart. rsync talks to its daemon.",
            lambda name: contestants.loopback(self.options.blit, sparse=name == "sparse"),
            list(self.sources),
        )

    def section(
        self, title: str, explanation: str, field: Callable[[str], list[Contestant]], names: list[str], passes: int = 1
    ) -> report.Section:
        runs: dict[tuple[str, str], list[Figures]] = {}
        shown: dict[str, str] = {}
        for name in names:
            entered = field(name)
            # The commands differ for the sparse workload only; the remarks say how.
            for contestant in entered:
                runs[name, contestant.name] = []
                shown.setdefault(contestant.name, contestant.shown)
            for round_ in range(self.options.runs):
                # Nobody always runs first.
                turn = round_ % len(entered)
                for contestant in entered[turn:] + entered[:turn]:
                    taken = self.one_run(contestant, self.sources[name], passes)
                    runs[name, contestant.name].append(taken)
                    print(
                        f"{title}, {name}, run {round_ + 1} of {self.options.runs}: {contestant.name} {taken.wall_seconds:.2f} s",
                        file=sys.stderr,
                    )
        return report.Section(title, explanation, shown, runs)

    def one_run(self, contestant: Contestant, source: Path, passes: int) -> Figures:
        """The figures of the last pass over a destination that was empty before the first."""
        with FreshFilesystem(self.options.fs, self.options.work) as destination:
            for _ in range(passes):
                workloads.warm(source)
                os.sync()
                figures = contestant.measure(source, destination, self.options.work)
            check(contestant, source, destination)
        return figures


def check(contestant: Contestant, source: Path, destination: Path) -> None:
    """A contestant that left something out, or filled the holes, has not won anything."""
    expected = workloads.contents(source)
    if workloads.contents(destination) != expected:
        raise SystemExit(f"bench: {contestant.name} has not copied {source} completely")
    # Half of the holes are room enough for how differently file systems place the same data (xfs allocates ahead);
    # the exact map of holes is the tests' business.
    data = workloads.allocated(source)
    if workloads.allocated(destination) > max(data, (data + sum(expected.values())) / 2) * 1.1 + workloads.MIB:
        raise SystemExit(f"bench: {contestant.name} has filled the holes of {source}")


def facts(options: argparse.Namespace) -> dict[str, str]:
    cpu = first_value("/proc/cpuinfo", "model name") or platform.machine()
    memory = int((first_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / (1 << 20)
    git = ["git", "-c", "safe.directory=*", "-C", str(REPOSITORY)]
    commit = contestants.version([*git, "describe", "--always", "--dirty", "--abbrev=12"])
    found = {
        "date": datetime.date.today().isoformat(),
        "commit": f"{commit} ({contestants.version([str(options.blit), '--version'])})",
        "machine": f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB of memory",
        "kernel": f"{platform.system()} {platform.release()}",
        "load before the first run": f"{os.getloadavg()[0]:.1f} (load average of one minute; idle is below 0.5)",
        "destination": f"{options.fs}, new for every run, in a sparse file on a loop device",
        "runs": f"{options.runs} of each, medians",
    }
    for peer in ("rsync", "cp", "tar", "xcp", "cpz"):
        if shutil.which(peer):
            found[peer] = contestants.version([peer, "--version"])
    return found


def first_value(path: str, key: str) -> str | None:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def remarks(options: argparse.Namespace) -> list[str]:
    return [
        *(f"{name}: {' '.join((workloads.WORKLOADS[name].__doc__ or '').split())}" for name in options.only),
        "Every run writes to a file system made for it. The source is read into memory before; contestants run in turn.",
        "After every run names and sizes are compared, and that no hole was filled.",
        "rsync and tar get `-S` for the sparse workload, and only there; Blit and cp find holes by themselves.",
        "What is kept: Blit and `rsync -aHAX` keep hard links, ACLs and extended attributes; `cp -a` too; this `tar`, xcp and cpz "
        "keep less (cpz: modes only), so their times are a floor rather than a rival.",
        "Peak memory is that of the largest single process, as the kernel counted it.",
        "No contestant's time includes writing back what is still in memory when it ends, but for the syncfs named below.",
    ]


def keep_figures(path: Path, sections: list[report.Section]) -> None:
    path.write_text(
        json.dumps(
            [
                {"section": section.title, "workload": workload, "contestant": name, "runs": [asdict(run) for run in runs]}
                for section in sections
                for (workload, name), runs in section.runs.items()
            ],
            indent=1,
        )
    )


if __name__ == "__main__":
    main()

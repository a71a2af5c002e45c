"""Who copies, and with which options."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import confine
import measure
import quota
from measure import Figures

MANIFEST = Path(__file__).resolve().parents[2] / "docs/examples/quickstart.yaml"
# What `cargo install` brings. The others belong to the system.
FROM_CARGO = ("cpz", "xcp")


@dataclass(frozen=True)
class Contestant:
    name: str
    # What a reader would type, with SRC and DST.
    shown: str
    # (source, destination, folder for records) -> figures
    measure: Callable[[Path, Path, Path], Figures]
    # False: it only shows what the path between two hosts carries.
    copies: bool = True


@dataclass(frozen=True)
class Programs:
    """Where the programs are that a system does not bring."""

    blit: Path
    # Folder of cpz and xcp; they are left out if it is None.
    peers: Path | None
    # Serves a tree late, for the row that needs it.
    late: Path | None = None
    # Makes the calls of a mirror and does nothing else; left out if it is None.
    floor: Path | None = None

    def have(self, name: str) -> bool:
        if name == "floor":
            return self.floor is not None
        return name not in FROM_CARGO or self.peers is not None

    def path(self, name: str) -> str:
        if name == "blit":
            return str(self.blit)
        if name == "floor":
            return str(self.floor)
        return str(self.peers / name) if name in FROM_CARGO and self.peers else name


# Name -> command, with SRC and DST for the two trees. A name with a blank is shown as a contestant of its own.
COMMANDS = {
    "blit": "blit mirror SRC/ DST/",
    "rsync": "rsync -aHAX SRC/ DST/",
    "cp": "cp -a SRC/. DST/",
    "tar": "tar -C SRC -c . | tar -C DST -xp",
    "xcp": "xcp -r --no-progress -T SRC DST",
    "cpz": "cpz -f SRC DST",
    "rsync --delete": "rsync -aHAX --delete SRC/ DST/",
    "blit, no listxattrat": "blit mirror SRC/ DST/",
    "blit -c": "blit mirror -c SRC/ DST/",
    "rsync -c": "rsync -aHAXc --delete SRC/ DST/",
    "blit, all may go": "blit mirror --allow-empty-source --max-delete 100% SRC/ DST/",
    "rm": "find DST -mindepth 1 -delete",
    "blit copy": "blit copy SRC/ DST/",
    "cp --reflink": "cp -a --reflink=always SRC/. DST/",
    "blit --fsync": "blit mirror --fsync SRC/ DST/",
    "rsync, sync": "rsync -aHAX SRC/ DST/ && sync -f DST",
    "cp, sync": "cp -a SRC/. DST/ && sync -f DST",
    "blit --workers 1": "blit mirror --workers 1 SRC/ DST/",
    "rsync -S": "rsync -aHAXS SRC/ DST/",
    "tar -S": "tar -C SRC -c -S . | tar -C DST -xp -S",
    "floor": "floor SRC DST",
}


# Name -> the system call that a filter refuses, as if the kernel did not have it.
WITHOUT = {"blit, no listxattrat": "listxattrat"}


def local(programs: Programs, names: Sequence[str]) -> list[Contestant]:
    """Programs that copy from one folder to another. Those that this machine does not have are left out."""

    return [
        without(programs, name) if name in WITHOUT else Contestant(name, COMMANDS[name], by_shell(programs, COMMANDS[name]))
        for name in names
        if programs.have(COMMANDS[name].split()[0])
    ]


def without(programs: Programs, name: str) -> Contestant:
    """A program that some system calls are refused to."""
    shown = f"{COMMANDS[name]}, where {WITHOUT[name]} fails with ENOSYS"
    return Contestant(name, shown, lambda *places: by_shell(programs, COMMANDS[name], confine.Refusal([WITHOUT[name]]))(*places))


def as_in_a_pod(programs: Programs) -> list[Contestant]:
    """Blit with the rights that the pod of a mover has, and with and without the filter of system calls that is over it."""

    def left_with(rights: Callable[[confine.Rights], Callable[[], None]]) -> Callable[[Path, Path, Path], Figures]:
        return lambda *places: by_shell(programs, COMMANDS["blit"], rights(confine.Rights()))(*places)

    shown = f"{COMMANDS['blit']}, with the capabilities of a mover"
    return [
        Contestant("blit, RuntimeDefault", f"{shown}, and the filter", left_with(lambda rights: rights.with_filter)),
        Contestant("blit, no filter", shown, left_with(lambda rights: rights.without_filter)),
    ]


def with_one_processor(programs: Programs) -> list[Contestant]:
    """Blit as in a pod with `resources.limits.cpu: 1`, with as many workers as it chooses and with one."""

    def limited(command: str) -> Callable[[Path, Path, Path], Figures]:
        def figures(source: Path, destination: Path, work: Path) -> Figures:
            with quota.processors(1) as enter:
                return by_shell(programs, command, enter)(source, destination, work)

        return figures

    return [
        Contestant(f"{name}, 1 CPU", f"{COMMANDS[name]}, in a control group with a quota of one processor", limited(COMMANDS[name]))
        for name in ("blit", "blit --workers 1")
    ]


def by_shell(programs: Programs, shown: str, before: Callable[[], None] | None = None) -> Callable[[Path, Path, Path], Figures]:
    words = ["blit", "floor", *FROM_CARGO]

    def figures(source: Path, destination: Path, work: Path) -> Figures:
        line = " ".join(f"'{programs.path(word)}'" if word in words else word for word in shown.split(" "))
        line = line.replace("SRC", f"'{source}'").replace("DST", f"'{destination}'")
        history = History(work)
        if "blit" in shown:
            line = f"{shlex.join(history.environment)} {line}"
        # A single program takes the place of the shell.
        if "|" not in line and "&&" not in line:
            line = f"exec {line}"
        taken, _ = measure.run(["bash", "-o", "pipefail", "-c", line], work / "time", before)
        return history.told(taken) if "blit" in shown else taken

    return figures


class History:
    """What Blit remembers of one run, which knows of no other.

    With `--json` it would tell its figures too, and a line for each entry, where its peers say nothing.
    """

    def __init__(self, work: Path) -> None:
        self.home = work / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.environment = ["env", f"XDG_CONFIG_HOME={self.home}"]

    def told(self, taken: Figures) -> Figures:
        """The figures with those that only Blit knows."""
        return with_summary(taken, (self.home / "blit/perf_local.jsonl").read_text())


def with_summary(taken: Figures, output: str) -> Figures:
    summary = json.loads(output.splitlines()[-1])
    synced = summary["syncSeconds"] or None
    return replace(taken, sync_seconds=synced, first_byte_seconds=summary["secondsToFirstByte"])


def loopback(programs: Programs, sparse: bool) -> list[Contestant]:
    """Two processes that talk over TCP on the loopback interface."""
    rsync = "-aHAXS" if sparse else "-aHAX"
    return [
        Contestant("blit", "blit run -f MIRRORJOB --volume source=SRC --volume destination=DST", blit_run(programs.blit)),
        Contestant("rsync", f"rsync {rsync} SRC/ rsync://127.0.0.1/DST/", rsync_daemon(rsync)),
    ]


def blit_run(blit: Path) -> Callable[[Path, Path, Path], Figures]:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        volumes = ["--volume", f"source={source}", "--volume", f"destination={destination}"]
        history = History(work)
        taken, _ = measure.run([*history.environment, str(blit), "run", "-f", str(MANIFEST), *volumes], work / "time")
        return history.told(taken)

    return figures


def late(programs: Programs) -> list[Contestant]:
    """Copies from a file system that answers each call after 2 ms, and 64 calls at once."""
    blit = [after_runs(programs, runs, history) for runs, history in ((1, True), (10, True), (100, True), (10, False))]
    return [replace(contestant, measure=from_late(programs.late, contestant.measure)) for contestant in (*blit, *local(programs, ("rsync", "cp")))]


def from_late(program: Path | None, measured: Callable[[Path, Path, Path], Figures]) -> Callable[[Path, Path, Path], Figures]:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        if program is None:
            raise SystemExit("bench: this row needs a program that serves a tree late: `make bench ROWS=late` builds and names it")
        mount = work / "late"
        mount.mkdir(exist_ok=True)
        command = [str(program), str(source), str(mount), "2"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as served:
            if served.stdout.readline() != "ready\n":
                raise SystemExit(f"bench: `{' '.join(command)}` serves nothing")
            return measured(mount, destination, work)

    return figures


def after_runs(programs: Programs, runs: int, history: bool) -> Contestant:
    """The last of so many runs into empty folders, on a machine whose history begins with the first of them."""

    def figures(source: Path, destination: Path, work: Path) -> Figures:
        home = work / "home"
        shutil.rmtree(home, ignore_errors=True)
        environment = ["env", f"XDG_CONFIG_HOME={home}"] + ([] if history else ["BLIT_DISABLE_PERF_HISTORY=1"])
        for number in range(1, runs + 1):
            # The last into the place that is judged.
            to = destination if number == runs else destination.parent / f"before-{number}"
            command = [*environment, str(programs.blit), "mirror", "--json", f"{source}/", f"{to}/"]
            taken = with_summary(*measure.run(command, work / "time"))
        return taken

    name = f"run {runs}" + ("" if history else ", no history")
    return Contestant(name, "BLIT_DISABLE_PERF_HISTORY=1 " * (not history) + "blit mirror SRC/ DST/", figures)


def rsync_daemon(options: str) -> Callable[[Path, Path, Path], Figures]:
    """An rsync daemon for one connection, started as inetd would: the connection is its standard input.

    So the kernel chooses the port, nothing has to wait for a daemon to be ready, and its processor time is known when it ends.
    """

    def figures(source: Path, destination: Path, work: Path) -> Figures:
        config = rsyncd_conf(destination, work)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            client = ["rsync", options, f"{source}/", f"rsync://127.0.0.1:{listener.getsockname()[1]}/tree/"]
            begin = time.monotonic()
            with measure.started(client, work / "time") as sender:
                connection, _ = listener.accept()
                daemon = ["rsync", "--daemon", f"--config={config}"]
                with measure.started(daemon, work / "time-daemon", stdin=connection.fileno()) as receiver:
                    # The receiver's copy alone keeps the connection open, so that the sender sees it end.
                    connection.close()
                    errors = sender.communicate()[1]
                    wall = time.monotonic() - begin
                    receiver.communicate()
        if sender.returncode != 0:
            raise SystemExit(f"bench: `{' '.join(client)}` failed with {sender.returncode}:\n{errors[-4000:]}")
        (cpu, peak), (daemon_cpu, daemon_peak) = measure.read(work / "time"), measure.read(work / "time-daemon")
        return Figures(wall, cpu + daemon_cpu, max(peak, daemon_peak))

    return figures


def rsyncd_conf(destination: Path, work: Path) -> Path:
    """Writes the configuration of an rsync daemon that receives into DST as the module `tree`."""
    config = work / "rsyncd.conf"
    config.write_text(f"use chroot = no\nuid = 0\ngid = 0\nreverse lookup = no\n[tree]\npath = {destination}\nread only = no\n")
    return config


def version(command: list[str]) -> str:
    """The first line of what a program says about itself."""
    if not shutil.which(command[0]):
        raise SystemExit(f"bench: {command[0]} is missing; `make bench` installs what is measured")
    answer = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    return answer.stdout.splitlines()[0].strip() if answer.returncode == 0 and answer.stdout else "unknown"

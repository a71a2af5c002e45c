"""Who copies, and with which options."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import measure
from measure import Figures

MANIFEST = Path(__file__).resolve().parents[2] / "docs/examples/quickstart.yaml"


@dataclass(frozen=True)
class Contestant:
    name: str
    # What a reader would type, with SRC and DST.
    shown: str
    # (source, destination, folder for records) -> figures
    measure: Callable[[Path, Path, Path], Figures]


def local(blit: Path, sparse: bool) -> list[Contestant]:
    """Local copies. Blit and cp find holes themselves; rsync and tar are told where there are some."""
    rsync, tar = ("-aHAXS", "-S ") if sparse else ("-aHAX", "")
    found = [
        program("blit", "blit mirror SRC DST", lambda s, d: [str(blit), "mirror", "--quiet", f"{s}/", f"{d}/"]),
        program("rsync", f"rsync {rsync} SRC/ DST/", lambda s, d: ["rsync", rsync, f"{s}/", f"{d}/"]),
        program("cp", "cp -a SRC/. DST/", lambda s, d: ["cp", "-a", f"{s}/.", f"{d}/"]),
        program(
            "tar",
            f"tar -C SRC -c {tar}. | tar -C DST -xp {tar}".strip(),
            lambda s, d: ["bash", "-o", "pipefail", "-c", f'tar -C "$1" -c {tar}. | tar -C "$2" -xp {tar}', "tar", str(s), str(d)],
        ),
    ]
    if shutil.which("xcp"):
        shown = "xcp -r --no-progress SRC/. DST/"
        found.append(program("xcp", shown, lambda s, d: ["xcp", "-r", "--no-progress", f"{s}/.", f"{d}/"]))
    if shutil.which("cpz"):
        shown = "cpz -f SRC DST"
        found.append(program("cpz", shown, lambda s, d: ["cpz", "-f", str(s), str(d)]))
    return found


def unchanged(blit: Path) -> list[Contestant]:
    """The second run over a tree that the same program has just copied."""
    return [
        program("blit", "blit mirror SRC DST", lambda s, d: [str(blit), "mirror", "--quiet", f"{s}/", f"{d}/"]),
        program("rsync", "rsync -aHAX --delete SRC/ DST/", lambda s, d: ["rsync", "-aHAX", "--delete", f"{s}/", f"{d}/"]),
    ]


def loopback(blit: Path, sparse: bool) -> list[Contestant]:
    """Two processes that talk over TCP on the loopback interface."""
    rsync = "-aHAXS" if sparse else "-aHAX"
    return [
        Contestant("blit", "blit run -f MIRRORJOB --volume source=SRC --volume destination=DST", blit_run(blit)),
        Contestant("rsync", f"rsync {rsync} SRC/ rsync://127.0.0.1/DST/", rsync_daemon(rsync)),
    ]


def program(name: str, shown: str, arguments: Callable[[Path, Path], list[str]]) -> Contestant:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        return measure.run(arguments(source, destination), work / "time")[0]

    return Contestant(name, shown, figures)


def blit_run(blit: Path) -> Callable[[Path, Path, Path], Figures]:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        volumes = ["--volume", f"source={source}", "--volume", f"destination={destination}"]
        taken, output = measure.run([str(blit), "run", "-f", str(MANIFEST), "--json", *volumes], work / "time")
        summary = json.loads(output.splitlines()[-1])
        return Figures(taken.wall_seconds, taken.cpu_seconds, taken.peak_mib, summary["syncSeconds"])

    return figures


def rsync_daemon(options: str) -> Callable[[Path, Path, Path], Figures]:
    """An rsync daemon for one connection, started as inetd would: the connection is its standard input.

    So the kernel chooses the port, nothing has to wait for a daemon to be ready, and its processor time is known when it ends.
    """

    def figures(source: Path, destination: Path, work: Path) -> Figures:
        config = work / "rsyncd.conf"
        config.write_text(f"use chroot = no\nuid = 0\ngid = 0\nreverse lookup = no\n[tree]\npath = {destination}\nread only = no\n")
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


def version(command: list[str]) -> str:
    """The first line of what a program says about itself."""
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.stdout.splitlines()[0].strip() if answer.returncode == 0 and answer.stdout else "unknown"

"""Two hosts on this machine: network namespaces that a pair of virtual Ethernet cards joins. Both share its processors.

The other program of each pair, a daemon, a shell server or `nc`, is started before the clock; its processor time counts.
"""

import getpass
import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import measure
from contestants import Contestant, Programs, rsyncd_conf, with_summary
from measure import Figures

# Addresses for documentation (RFC 5737): no other network of this machine has them.
NEAR, FAR = "192.0.2.1", "192.0.2.2"
PORT = 2049
# How long a server may take to be ready, in seconds.
PATIENCE = 20

SSHD = Path("/usr/sbin/sshd")

# What runs here, with SRC and DST, and how it is called on the page.
SHOWN = {
    "blit": "blit mirror SRC blit://HOST/DST",
    "blit, TLS": "blit mirror --encryption all SRC blit://HOST/DST",
    "blit, gRPC": "blit mirror --force-grpc-data SRC blit://HOST/DST",
    "rsyncd": "rsync -aHAX SRC/ rsync://HOST/DST/",
    "rsyncd -W": "rsync -aW SRC/ rsync://HOST/DST/",
    "rsyncd --delete": "rsync -aHAX --delete SRC/ rsync://HOST/DST/",
    "rsync, ssh": "rsync -aHAX SRC/ HOST:DST/",
    "tar, nc": "tar -C SRC -c . | nc -N HOST PORT, and there nc -l PORT | tar -C DST -xp",
}
# Options of `blit mirror` by contestant.
BLIT = {"blit": [], "blit, TLS": ["--encryption", "all"], "blit, gRPC": ["--force-grpc-data"]}
RSYNC = {"rsyncd": ["-aHAX"], "rsyncd -W": ["-aW"], "rsyncd --delete": ["-aHAX", "--delete"]}

number = itertools.count()


def field(*names: str) -> Callable[[Programs], list[Contestant]]:
    def contestants(programs: Programs) -> list[Contestant]:
        return [Contestant(name, SHOWN[name], run(programs, name)) for name in names if have(name)]

    return contestants


def have(name: str) -> bool:
    """Whether this machine has what the contestant needs besides what `make bench` installs."""
    if name == "rsync, ssh":
        return SSHD.exists()
    if name == "tar, nc":
        # The one of OpenBSD, which can end a connection when its input ends.
        return shutil.which("nc") is not None and "-N" in subprocess.run(["nc", "-h"], capture_output=True, text=True).stderr
    return True


def run(programs: Programs, name: str) -> Callable[[Path, Path, Path], Figures]:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        with hosts() as (here, there):
            if name in BLIT:
                return blit(programs.blit, BLIT[name], here, there, source, destination, work)
            if name in RSYNC:
                return rsync_daemon(RSYNC[name], here, there, source, destination, work)
            if name == "rsync, ssh":
                return rsync_ssh(here, there, source, destination, work)
            return tar(here, there, source, destination, work)

    return figures


@contextmanager
def hosts() -> Iterator[tuple[list[str], list[str]]]:
    """Yields what is put before a command to run it on the one and on the other."""
    tag = f"{os.getpid()}-{next(number)}"
    names = [f"blit-bench-{side}-{tag}" for side in ("near", "far")]
    with ExitStack() as made:
        for name in names:
            ip("netns", "add", name)
            made.callback(ip, "netns", "delete", name)
        ip("link", "add", "near", "netns", names[0], "type", "veth", "peer", "name", "far", "netns", names[1])
        for name, card, address in zip(names, ("near", "far"), (NEAR, FAR)):
            ip("-n", name, "address", "add", f"{address}/30", "dev", card)
            for link in ("lo", card):
                ip("-n", name, "link", "set", link, "up")
        yield tuple(["ip", "netns", "exec", name] for name in names)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def blit(program: Path, options: Sequence[str], here: list[str], there: list[str], source: Path, destination: Path, work: Path) -> Figures:
    identity = work / "identity"
    shutil.rmtree(identity, ignore_errors=True)
    serve = [str(program), "serve", "--identity", str(identity)]
    token = subprocess.run([*serve, "--issue-token", "--scope", "read,write,delete"], check=True, capture_output=True, text=True)
    remote = f"blit://{FAR}/"
    known = ["env", f"BLIT_TOKEN={token.stdout.strip()}"]
    daemon = [*there, *serve, "--root", str(destination), "--listen", f"{FAR}:9031"]
    with served(daemon, work) as ended:
        until_ready(lambda: subprocess.run([*here, *known, str(program), "ping", remote], capture_output=True).returncode == 0)
        client = [*here, *known, str(program), "mirror", "--json", *options, f"{source}/", remote]
        taken = with_summary(*measure.run(client, work / "time"))
    return together(taken, *ended())


def rsync_daemon(options: Sequence[str], here: list[str], there: list[str], source: Path, destination: Path, work: Path) -> Figures:
    config = rsyncd_conf(destination, work)
    daemon = [*there, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={FAR}", f"--port={PORT}"]
    with served(daemon, work) as ended:
        until_ready(lambda: listens(there))
        taken, _ = measure.run([*here, "rsync", *options, f"{source}/", f"rsync://{FAR}:{PORT}/tree/"], work / "time")
    return together(taken, *ended())


def rsync_ssh(here: list[str], there: list[str], source: Path, destination: Path, work: Path) -> Figures:
    keys = work / "ssh"
    shutil.rmtree(keys, ignore_errors=True)
    keys.mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys / key)], check=True)
    config = keys / "sshd_config"
    config.write_text(
        f"HostKey {keys}/host\nAuthorizedKeysFile {keys}/user.pub\nPidFile none\nStrictModes no\nPermitRootLogin yes\n"
        f"ListenAddress {FAR}:{PORT}\n"
    )
    # sshd asks for it, whether it is used or not.
    Path("/run/sshd").mkdir(exist_ok=True)
    shell = f"ssh -i {keys}/user -p {PORT} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    with served([*there, str(SSHD), "-D", "-f", str(config)], work) as ended:
        until_ready(lambda: listens(there))
        client = [*here, "rsync", "-aHAX", "-e", shell, f"{source}/", f"{getpass.getuser()}@{FAR}:{destination}/"]
        taken, _ = measure.run(client, work / "time")
    return together(taken, *ended())


def tar(here: list[str], there: list[str], source: Path, destination: Path, work: Path) -> Figures:
    receive = [*there, "bash", "-o", "pipefail", "-c", f"nc -l {FAR} {PORT} | tar -C '{destination}' -xp"]
    send = [*here, "bash", "-o", "pipefail", "-c", f"tar -C '{source}' -c . | nc -N {FAR} {PORT}"]
    with measure.started(receive, work / "time-daemon") as receiver:
        until_ready(lambda: listens(there))
        begin = time.monotonic()
        taken, _ = measure.run(send, work / "time")
        errors = receiver.communicate()[1]
        wall = time.monotonic() - begin
    if receiver.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(receive)}` failed with {receiver.returncode}:\n{errors[-4000:]}")
    return together(replace(taken, wall_seconds=wall), *measure.read(work / "time-daemon"))


@contextmanager
def served(daemon: list[str], work: Path) -> Iterator[Callable[[], tuple[float, float]]]:
    """Runs a daemon and asks it to end; what is yielded returns its processor seconds and its peak afterwards."""
    record = work / "time-daemon"
    with measure.started(daemon, record) as process:
        said: list[str] = []
        readers = [threading.Thread(target=lambda stream=stream: said.extend(stream)) for stream in (process.stdout, process.stderr)]
        for reader in readers:
            reader.start()
        try:
            yield lambda: measure.read(record)
        except SystemExit as problem:
            raise SystemExit(f"{problem}\nthe other side said: {''.join(said)[-2000:]}") from None
        finally:
            # Not GNU time, which writes its record when the program has ended.
            subprocess.run(["pkill", "-TERM", "--parent", str(process.pid)], check=False)
            process.wait(PATIENCE)
            for reader in readers:
                reader.join()


def listens(there: list[str]) -> bool:
    """Whether somebody listens on the far host, found out without a connection: `nc` takes only one."""
    sockets = subprocess.run([*there, "ss", "-Hltn", f"sport = :{PORT}"], check=True, capture_output=True, text=True)
    return bool(sockets.stdout.strip())


def until_ready(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"bench: the other side was not ready after {PATIENCE} s")
        time.sleep(0.02)


def together(taken: Figures, cpu: float, peak: float) -> Figures:
    """The figures of both sides; the peak is that of the larger."""
    return replace(taken, cpu_seconds=taken.cpu_seconds + cpu, peak_mib=max(taken.peak_mib, peak))

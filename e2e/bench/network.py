"""Programs that copy from one host to another (see `hosts.py`), and one that only shows what the path carries.

The other program of each pair, a daemon, a shell server or `nc`, is started before the clock; its processor time counts.
"""

import getpass
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import confine
import hosts
import measure
import workloads
from contestants import Contestant, History, Programs, rsyncd_conf
from hosts import FAR, NEXT_DOOR, Hosts, Link
from measure import Figures

PORT = 2049
# How long a server may take to be ready, in seconds.
PATIENCE = 20

SSHD = Path("/usr/sbin/sshd")

# What runs here, with SRC and DST, and how it is called on the page.
SHOWN = {
    "blit": "blit mirror SRC blit://HOST/DST",
    "blit, TLS": "blit mirror --encryption all SRC blit://HOST/DST",
    "blit, memory": "blit mirror SRC blit://HOST/DST, where sendfile, splice and copy_file_range fail with ENOSYS on both hosts",
    "blit, gRPC": "blit mirror --force-grpc-data SRC blit://HOST/DST",
    "blit, pull": "blit mirror blit://HOST/SRC DST",
    "rsyncd": "rsync -aHAX SRC/ rsync://HOST/DST/",
    "rsyncd -W": "rsync -aW SRC/ rsync://HOST/DST/",
    "rsyncd -W, sync": "rsync -aW SRC/ rsync://HOST/DST/, and then there sync -f DST",
    "rsyncd --delete": "rsync -aHAX --delete SRC/ rsync://HOST/DST/",
    "rsync, ssh": "rsync -aHAX SRC/ HOST:DST/",
    "rsync, ssh, sync": "rsync -aHAX SRC/ HOST:DST/, and then there sync -f DST",
    "tar, nc": "tar -C SRC -c . | nc -N HOST PORT, and there nc -l PORT | tar -C DST -xp",
    "iperf3": "iperf3 -c HOST -n BYTES",
}
# Options of `blit mirror` by contestant.
BLIT = {"blit": [], "blit, TLS": ["--encryption", "all"], "blit, gRPC": ["--force-grpc-data"], "blit, pull": [], "blit, memory": []}
# Calls by which the kernel moves content alone. Without them it goes through the memory of the program on both hosts.
KERNEL_MOVES = ("sendfile", "splice", "copy_file_range")
RSYNC = {"rsyncd": ["-aHAX"], "rsyncd -W": ["-aW"], "rsyncd -W, sync": ["-aW"], "rsyncd --delete": ["-aHAX", "--delete"]}


def field(*names: str, link: Link = NEXT_DOOR) -> Callable[[Programs], list[Contestant]]:
    def contestants(programs: Programs) -> list[Contestant]:
        return [Contestant(name, SHOWN[name], run(programs, name, link), copies=name != "iperf3") for name in names if have(name)]

    return contestants


def have(name: str) -> bool:
    """Whether this machine has what the contestant needs besides what the harness cannot do without."""
    if name.startswith("rsync, ssh"):
        return SSHD.exists()
    if name == "iperf3":
        return shutil.which(name) is not None
    if name == "tar, nc":
        # The one of OpenBSD, which can end a connection when its input ends.
        return shutil.which("nc") is not None and "-N" in subprocess.run(["nc", "-h"], capture_output=True, text=True).stderr
    return True


def run(programs: Programs, name: str, link: Link) -> Callable[[Path, Path, Path], Figures]:
    def figures(source: Path, destination: Path, work: Path) -> Figures:
        with hosts.joined(link) as two:
            if name in BLIT:
                before = confine.Refusal(KERNEL_MOVES) if name == "blit, memory" else None
                return blit(programs.blit, BLIT[name], two, source, destination, work, name.endswith(", pull"), before)
            if name in RSYNC or name.startswith("rsync, ssh"):
                taken = rsync_daemon(RSYNC[name], two, source, destination, work) if name in RSYNC else rsync_ssh(two, source, destination, work)
                return synced(taken, destination, work) if name.endswith(", sync") else taken
            if name == "iperf3":
                return iperf3(two, source, work)
            return tar(two, source, destination, work)

    return figures


def blit(
    program: Path, options: Sequence[str], two: Hosts, source: Path, destination: Path, work: Path, pull: bool,
    before: Callable[[], None] | None = None,
) -> Figures:
    """`before` is what the processes of both hosts do to themselves first."""
    identity = work / "identity"
    shutil.rmtree(identity, ignore_errors=True)
    serve = [str(program), "serve", "--identity", str(identity)]
    token = subprocess.run([*serve, "--issue-token", "--scope", "read,write,delete"], check=True, capture_output=True, text=True)
    remote = f"blit://{FAR}/"
    history = History(work)
    known = [*history.environment, f"BLIT_TOKEN={token.stdout.strip()}"]
    root, trees = (source, [remote, f"{destination}/"]) if pull else (destination, [f"{source}/", remote])
    daemon = [*two.there, *serve, "--root", str(root), "--listen", f"{FAR}:9031"]
    with served(daemon, work, before) as ended:
        until_ready(lambda: subprocess.run([*two.here, *known, str(program), "ping", remote], capture_output=True).returncode == 0)
        taken, _ = two.run([*known, str(program), "mirror", *options, *trees], work / "time", before)
    return together(history.told(taken), *ended())


def rsync_daemon(options: Sequence[str], two: Hosts, source: Path, destination: Path, work: Path) -> Figures:
    config = rsyncd_conf(destination, work)
    daemon = [*two.there, "rsync", "--daemon", "--no-detach", f"--config={config}", f"--address={FAR}", f"--port={PORT}"]
    with served(daemon, work) as ended:
        until_ready(lambda: listens(two))
        taken, _ = two.run(["rsync", *options, f"{source}/", f"rsync://{FAR}:{PORT}/tree/"], work / "time")
    return together(taken, *ended())


def synced(taken: Figures, destination: Path, work: Path) -> Figures:
    """The same with a syncfs at the end, as Blit makes it."""
    sync, _ = measure.run(["sync", "--file-system", str(destination)], work / "time")
    wall, cpu = taken.wall_seconds + sync.wall_seconds, taken.cpu_seconds + sync.cpu_seconds
    return replace(taken, wall_seconds=wall, cpu_seconds=cpu, sync_seconds=sync.wall_seconds)


def rsync_ssh(two: Hosts, source: Path, destination: Path, work: Path) -> Figures:
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
    with served([*two.there, str(SSHD), "-D", "-f", str(config)], work) as ended:
        until_ready(lambda: listens(two))
        client = ["rsync", "-aHAX", "-e", shell, f"{source}/", f"{getpass.getuser()}@{FAR}:{destination}/"]
        taken, _ = two.run(client, work / "time")
    return together(taken, *ended())


def tar(two: Hosts, source: Path, destination: Path, work: Path) -> Figures:
    receive = [*two.there, "bash", "-o", "pipefail", "-c", f"nc -l {FAR} {PORT} | tar -C '{destination}' -xp"]
    send = ["bash", "-o", "pipefail", "-c", f"tar -C '{source}' -c . | nc -N {FAR} {PORT}"]
    with measure.started(receive, work / "time-daemon") as receiver:
        until_ready(lambda: listens(two))
        begin, carried = time.monotonic(), two.carried_mib()
        taken, _ = two.run(send, work / "time")
        errors = receiver.communicate()[1]
        wall, carried = time.monotonic() - begin, two.carried_mib() - carried
    if receiver.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(receive)}` failed with {receiver.returncode}:\n{errors[-4000:]}")
    return together(replace(taken, wall_seconds=wall, wire_mib=carried), *measure.read(work / "time-daemon"))


def iperf3(two: Hosts, source: Path, work: Path) -> Figures:
    """Sends as many bytes as the files hold. Its seconds are what these take at the rate that its receiver counted: it ends as
    soon as the last byte is in a buffer of the sender."""
    content = workloads.content(source)
    with served([*two.there, "iperf3", "--server", "--one-off", "--bind", FAR, "--port", str(PORT)], work) as ended:
        until_ready(lambda: listens(two))
        client = ["iperf3", "--client", FAR, "--port", str(PORT), "--bytes", str(content), "--json"]
        taken, output = two.run(client, work / "time")
    received = json.loads(output)["end"]["sum_received"]
    return together(replace(taken, wall_seconds=content * 8 / received["bits_per_second"]), *ended())


@contextmanager
def served(daemon: list[str], work: Path, before: Callable[[], None] | None = None) -> Iterator[Callable[[], tuple[float, float]]]:
    """Runs a daemon and asks it to end; what is yielded returns its processor seconds and its peak afterwards."""
    record = work / "time-daemon"
    with measure.started(daemon, record, before=before) as process:
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


def listens(two: Hosts) -> bool:
    """Whether somebody listens on the far host, found out without a connection: `nc` takes only one."""
    sockets = subprocess.run([*two.there, "ss", "-Hltn", f"sport = :{PORT}"], check=True, capture_output=True, text=True)
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

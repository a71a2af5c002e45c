"""What is measured: one row of a table each, with what it is to reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import contestants
import network
from contestants import Contestant, Programs
from hosts import Link
from workloads import BESIDE, COPIED, EMPTY, MANY, NEARLY, OLDER, OUTDATED, SMALL, State

ALL = ("blit", "rsync", "cp", "tar", "xcp", "cpz", "floor")


@dataclass(frozen=True)
class Target:
    """Something that Blit, the first contestant of the row, is to reach."""

    # A peer takes so many times as long as Blit, or longer.
    peer: str | None = None
    times: float = 0
    # Only there; everywhere if None.
    filesystem: str | None = None
    # The final syncfs of Blit does not count: the peer makes none.
    without_sync: bool = False
    seconds: float | None = None
    # Of these two the worst of all contestants of the row that are Blit counts.
    first_byte_seconds: float | None = None
    peak_mib: float | None = None
    wire_mib: float | None = None


@dataclass(frozen=True)
class Row:
    name: str
    section: str
    workload: str
    field: Callable[[Programs], list[Contestant]]
    before: State = EMPTY
    targets: Sequence[Target] = ()
    # A run changes the destination, so that the next needs a new one.
    changes: bool = True
    # So much content that processor seconds are also given by GiB.
    by_gib: bool = False
    # Nothing of the source is in memory.
    cold: bool = False
    # A question of memory, and of seconds only at the side: one run says it.
    once: bool = False
    # One file system answers the question.
    filesystems: Sequence[str] = ("ext4", "xfs")


def by(*names: str) -> Callable[[Programs], list[Contestant]]:
    return lambda programs: contestants.local(programs, names)


# 25 ms in either direction.
LONG = Link(delay=25)
NARROW = Link(limit=1000)

SECTIONS = {
    "Local copy": "From one file system to an empty one of another device.",
    "Reflink": "The source lies on the same file system, which can let two files have the same blocks.",
    "Cold": "The same, and nothing of the source is in memory: its file system was mounted a moment ago. The disk of this\n"
    "machine has a part in these rows.",
    "Nothing changed": "The destination is what `cp -a` has made of the source.",
    "Something changed": "The destination has files already: an older state, other files of the same names, or files that are to go.",
    "Memory": "Trees that make a program hold much: one run of each. The target is for the peak of Blit's memory.",
    "Durability": "The same with one syncfs at the end, that everything is on the disk. (This disk is memory, so the syncfs\n"
    "costs what the file system and the processor need, not what a disk would.)",
    "Processors": "One worker against as many as there are processors: with one processor, which is the quota\n"
    "that a pod with `limits.cpu: 1` has, and with two.",
    "In a pod": "Blit with the capabilities that a mover's pod has, with and without the system call filter RuntimeDefault of containerd 2.0.",
    "Run 1, 10 and 100": "What the history of runs on this machine brings and costs: the first run, the tenth and the hundredth of a tree,\n"
    "each into an empty folder. `late` reads from a file system in memory that answers each call after 2 ms, and 64 calls at once.",
    "Two processes over loopback TCP": "Blit runs a MirrorJob: two movers, mutual TLS for control, and a syncfs before it reports success, which\n"
    "rsync does not make; that part is given apart. rsync talks to its daemon.",
    "Two hosts": "Two network namespaces joined by a pair of virtual Ethernet cards, no limit of rate, no delay; both ends share the\n"
    "processors. Blit talks to `blit serve` and makes a syncfs before it reports success; rsync talks to its daemon or\n"
    "through ssh and makes none but where `sync` is said. `-W` sends whole files and `-aW` keeps less. The disk is memory: what\n"
    "is written to it costs processor time.",
    "Two hosts, far apart": "The same with a round trip of 50 ms: every packet is held for 25 ms where it arrives, in the kernel, by a relay that\n"
    "the benchmark brings; its processor time is not counted. iperf3 sends as many bytes as the files hold, over one connection,\n"
    "and shows what this path carries.",
    "Two hosts, 1 Gbit/s": "The same with a limit of rate on both cards (tbf). iperf3 sends as many bytes as the files hold; its seconds are\n"
    "what those take at the rate that its receiver counted. It writes no file, so for the target Blit's final syncfs, which is\n"
    "given apart, does not count.",
}

ROWS = [
    # cpz keeps modes only; its time may be a little shorter than ours.
    Row("small", "Local copy", "small", by(*ALL), targets=[
        Target("cpz", 1 / 1.15, "ext4"), Target("cpz", 1 / 1.05, "xfs"), Target("rsync", 3)]),
    Row("mixed", "Local copy", "mixed", by(*ALL), targets=[Target("cpz", 1), Target("rsync", 3.5)]),
    Row("large", "Local copy", "large", by(*ALL), by_gib=True, targets=[Target("cpz", 1), Target("rsync", 2.2)]),
    Row("sparse", "Local copy", "sparse", by("blit", "rsync -S", "cp", "tar -S")),
    Row("flat", "Local copy", "flat", by("blit", "rsync", "cp", "cpz", "floor"), targets=[Target("cp", 2)]),
    Row("flat-below", "Local copy", "below", by("blit", "rsync", "cp", "cpz", "floor"), targets=[Target("cp", 2)]),
    Row("attributes", "Local copy", "attributes", by("blit", "rsync", "cp")),
    Row("names", "Local copy", "names", by("blit", "rsync", "cp"), once=True, filesystems=("ext4",)),
    Row("million", "Local copy", "million", by("blit", "rsync", "cpz"), once=True, targets=[
        Target(first_byte_seconds=0.5), Target(peak_mib=64)]),
    Row("reflink", "Reflink", "large", by("blit copy", "cp --reflink"), BESIDE, filesystems=("xfs", "btrfs"), targets=[
        # "In milliseconds."
        Target(seconds=0.1)]),
    Row("small-cold", "Cold", "small", by("blit", "rsync", "cp", "cpz"), cold=True, filesystems=("ext4",)),
    Row("mixed-cold", "Cold", "mixed", by("blit", "rsync", "cp", "cpz"), cold=True, filesystems=("ext4",)),
    Row("unchanged", "Nothing changed", "small", by("blit", "blit, no listxattrat", "rsync --delete", "floor"), COPIED, changes=False,
        targets=[Target("rsync --delete", 4)]),
    Row("unchanged-flat", "Nothing changed", "flat", by("blit", "rsync --delete"), COPIED, changes=False),
    Row("checksum", "Nothing changed", "mixed", by("blit -c", "rsync -c"), COPIED, changes=False, targets=[Target("rsync -c", 2)]),
    Row("one-percent", "Something changed", "many", by("blit", "rsync --delete", "floor"), NEARLY, targets=[Target("rsync --delete", 4)]),
    Row("replaced", "Something changed", "small", by("blit", "rsync", "cp", "floor"), OUTDATED, targets=[Target("rsync", 1.5)]),
    Row("deleted", "Something changed", "nothing", by("blit, all may go", "rsync --delete", "rm", "floor"),
        SMALL, targets=[Target("rsync --delete", 1.7)]),
    Row("pairs", "Memory", "pairs", by("blit", "rsync"), once=True, targets=[Target(peak_mib=128)], filesystems=("ext4",)),
    Row("directories", "Memory", "directories", by("blit", "rsync"), once=True, targets=[Target(peak_mib=128)], filesystems=("ext4",)),
    Row("wide", "Memory", "wide", by("blit", "rsync"), once=True, targets=[Target(peak_mib=128)], filesystems=("ext4",)),
    Row("pending", "Memory", "nothing", by("blit, all may go", "rsync --delete"),
        MANY, once=True, targets=[Target(peak_mib=128)], filesystems=("ext4",)),
    Row("synced", "Durability", "small", by("blit", "blit --fsync", "rsync, sync", "cp, sync"), filesystems=("ext4",)),
    Row("one-processor", "Processors", "small", contestants.with_one_processor, targets=[
        Target("blit --workers 1, 1 CPU", 0.95)], filesystems=("ext4",)),
    Row("two-processors", "Processors", "small", by("blit", "blit --workers 1"), targets=[
        Target("blit --workers 1", 0.95)], filesystems=("ext4",)),
    Row("small-seccomp", "In a pod", "small", contestants.as_in_a_pod, filesystems=("ext4",)),
    Row("warm-up", "Run 1, 10 and 100", "tiny", lambda programs: [
        contestants.after_runs(programs, runs, history) for runs, history in ((1, True), (10, True), (100, True), (100, False))],
        filesystems=("ext4",)),
    Row("late", "Run 1, 10 and 100", "several", contestants.late, once=True, filesystems=("ext4",)),
    *(
        Row(f"{name}-loopback", "Two processes over loopback TCP", name,
            lambda programs, name=name: contestants.loopback(programs, sparse=name == "sparse"), filesystems=("ext4",),
            by_gib=name == "large")
        for name in ("small", "large", "mixed", "sparse")
    ),
    Row("small-network", "Two hosts", "small",
        network.field("blit", "blit, pull", "rsyncd", "rsyncd -W", "rsyncd -W, sync", "tar, nc"), filesystems=("ext4",),
        targets=[Target("rsyncd -W", 2), Target("tar, nc", 1)]),
    Row("mixed-network", "Two hosts", "mixed",
        network.field("blit", "rsyncd", "rsyncd -W", "rsync, ssh", "rsync, ssh, sync", "tar, nc"), filesystems=("ext4",),
        targets=[Target("rsyncd -W", 1.5), Target("rsync, ssh", 4)]),
    Row("large-network", "Two hosts", "large",
        network.field("blit", "blit, pull", "blit, TLS", "blit, memory", "blit, gRPC", "rsyncd", "rsyncd -W", "rsyncd -W, sync", "rsync, ssh",
                      "rsync, ssh, sync", "tar, nc"),
        filesystems=("ext4",), by_gib=True,
        targets=[Target("rsyncd -W", 1.7), Target("rsync, ssh", 5)]),
    Row("unchanged-network", "Two hosts", "small", network.field("blit", "rsyncd --delete"), COPIED, changes=False, filesystems=("ext4",),
        targets=[Target("rsyncd --delete", 2)]),
    Row("million-network", "Two hosts", "million", network.field("blit", "blit, gRPC", "blit, pull", "rsyncd"), once=True,
        filesystems=("ext4",), targets=[Target(first_byte_seconds=1), Target(peak_mib=64)]),
    # On xfs what has not changed can be a clone of the old file.
    Row("delta-network", "Two hosts", "large", network.field("blit", "rsyncd"), OLDER, targets=[Target(wire_mib=128)]),
    Row("delayed-network", "Two hosts, far apart", "twenty", network.field("blit", "blit, gRPC", "rsyncd", "iperf3", link=LONG),
        filesystems=("ext4",), targets=[Target(seconds=10)]),
    Row("limited-network", "Two hosts, 1 Gbit/s", "large", network.field("blit", "rsyncd", "iperf3", link=NARROW), by_gib=True,
        filesystems=("ext4",), targets=[Target("iperf3", 0.98, without_sync=True)]),
]

"""Two hosts on this machine: network namespaces that a pair of virtual Ethernet cards joins. Both share its processors.

The path between them can be limited, and it can be long. A long one is made by the kernel's packet queue (see `delay.py`), because not
every kernel has netem.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import measure
from measure import Figures

# Addresses for documentation (RFC 5737): no other network of this machine has them.
NEAR, FAR = "192.0.2.1", "192.0.2.2"
CARDS = ("near", "far")
DELAY = Path(__file__).with_name("delay.py")

number = itertools.count()


@dataclass(frozen=True)
class Link:
    """What lies between the two."""

    # From either host to the other, in milliseconds; the round trip takes twice as long.
    delay: int = 0
    # In megabits a second, in either direction; None is whatever the machine can do.
    limit: int | None = None


NEXT_DOOR = Link()


@dataclass(frozen=True)
class Hosts:
    # Names of the namespaces.
    names: tuple[str, str]

    @property
    def here(self) -> list[str]:
        """What is put before a command to run it on the near host."""
        return ["ip", "netns", "exec", self.names[0]]

    @property
    def there(self) -> list[str]:
        return ["ip", "netns", "exec", self.names[1]]

    def run(self, command: list[str], record: Path, before: Callable[[], None] | None = None) -> tuple[Figures, str]:
        """As `measure.run`, on the near host, with what went over the wire meanwhile."""
        carried = self.carried_mib()
        taken, output = measure.run([*self.here, *command], record, before)
        return replace(taken, wire_mib=self.carried_mib() - carried), output

    def carried_mib(self) -> float:
        """What has gone over the wire, in both directions. Packets are as large as the kernel makes them for a card that would cut them,
        up to 64 KiB, and have one header each."""
        said = ip("-n", self.names[0], "-s", "-j", "link", "show", "dev", CARDS[0])
        counted = json.loads(said)[0]["stats64"]
        return (counted["rx"]["bytes"] + counted["tx"]["bytes"]) / (1 << 20)


@contextmanager
def joined(link: Link = NEXT_DOOR) -> Iterator[Hosts]:
    tag = f"{os.getpid()}-{next(number)}"
    names = tuple(f"blit-bench-{card}-{tag}" for card in CARDS)
    with ExitStack() as made:
        for name in names:
            ip("netns", "add", name)
            made.callback(ip, "netns", "delete", name)
        ip("link", "add", CARDS[0], "netns", names[0], "type", "veth", "peer", "name", CARDS[1], "netns", names[1])
        for name, card, address in zip(names, CARDS, (NEAR, FAR)):
            ip("-n", name, "address", "add", f"{address}/30", "dev", card)
            for device in ("lo", card):
                ip("-n", name, "link", "set", device, "up")
            if link.limit:
                rate = ["rate", f"{link.limit}mbit", "burst", "256k", "latency", "50ms"]
                tool(["tc", "-n", name, "qdisc", "add", "dev", card, "root", "tbf", *rate])
            if link.delay:
                made.enter_context(delayed(name, card, link.delay))
        yield Hosts(names)


@contextmanager
def delayed(name: str, card: str, milliseconds: int) -> Iterator[None]:
    """Whatever arrives at a card meanwhile is held for so long before the host sees it."""
    relay = [sys.executable, "-B", str(DELAY), card, str(milliseconds)]
    in_host = ["ip", "netns", "exec", name, *relay]
    with subprocess.Popen(in_host, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"bench: `{' '.join(relay)}` did not begin; it needs iptables, and NFQUEUE in the kernel")
            yield
        finally:
            process.stdin.close()
            lost = process.stdout.read().strip()
    # Also where it ended on its own, and said nothing.
    if lost != "lost 0":
        raise SystemExit(f"bench: what delays packets was to lose none, and said {lost!r}")


def ip(*arguments: str) -> str:
    return tool(["ip", *arguments])


def tool(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(command)}` failed: {result.stderr.strip()}")
    return result.stdout

#!/usr/bin/env python3
"""Holds every IPv4 packet that arrives at a network card for some milliseconds: a long path, for kernels without netem.

usage: delay.py CARD MILLISECONDS, as root, in a network namespace of its own. It says `ready` when it holds, and goes on until its
standard input ends, even if whoever started it was killed; then it says how many packets were lost, which should be none.

The packets stay in the kernel, in the queue that iptables' NFQUEUE fills: only their numbers come here, and one message lets all go whose
time has come. So the path is long and hardly narrower. They are held before the receiving host has done anything with them; on the way out
of the sending host they would count as data that its card has not taken yet, and its TCP would send no more.
"""

import collections
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

QUEUE = 0
# More than any window of TCP; a queue that is full would lose packets.
LONGEST = 200_000
MEMORY = 128 << 20

# linux/netfilter/nfnetlink.h and nfnetlink_queue.h
NETLINK_NETFILTER = 12
SUBSYSTEM = 3
PACKET, CONFIG, VERDICTS = 0, 2, 3
CONFIG_COMMAND, CONFIG_PARAMETERS, CONFIG_LONGEST, CONFIG_MASK, CONFIG_FLAGS = range(1, 6)
BIND, COPY_META, WHOLE_SEGMENTS = 1, 1, 4
VERDICT_HEADER, ACCEPT = 2, 1
# linux/netlink.h, linux/socket.h
NLMSG_ERROR, NLM_F_REQUEST, NLM_F_ACK = 2, 1, 4
SOL_NETLINK, NETLINK_NO_ENOBUFS, SO_RCVBUFFORCE = 270, 5, 33
# Header of netlink, header of netfilter, header of the first attribute, which begins with the number of the packet.
NUMBER_AT = 16 + 4 + 4


def main() -> None:
    card, delay = sys.argv[1], float(sys.argv[2]) / 1000
    queue = Queue()
    # Before anything else of the host sees them.
    subprocess.run(
        ["iptables", "-t", "raw", "-I", "PREROUTING", "-i", card, "-j", "NFQUEUE", "--queue-num", str(QUEUE)], check=True
    )
    print("ready", flush=True)
    hold(queue, delay)
    print(f"lost {queue.lost()}", flush=True)


def hold(queue: "Queue", delay: float) -> None:
    # When the packets up to which number may go.
    held: collections.deque[tuple[float, int]] = collections.deque()
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([queue.socket, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            return
        now = time.monotonic()
        if (newest := queue.arrived()) is not None:
            held.append((now + delay, newest))
        due = None
        while held and held[0][0] <= now:
            due = held.popleft()[1]
        if due is not None:
            queue.release(due)


class Queue:
    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, MEMORY)
        # What does not fit is counted by the kernel, and told at the end.
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self.configure(CONFIG_COMMAND, struct.pack(">BxH", BIND, socket.AF_INET))
        self.configure(CONFIG_PARAMETERS, struct.pack(">IB", 0, COPY_META))
        self.configure(CONFIG_LONGEST, struct.pack(">I", LONGEST))
        # As large as the sender made them, or each would be cut to the size of Ethernet.
        self.configure(CONFIG_FLAGS, struct.pack(">I", WHOLE_SEGMENTS), (CONFIG_MASK, struct.pack(">I", WHOLE_SEGMENTS)))
        self.socket.setblocking(False)

    def configure(self, kind: int, value: bytes, *more: tuple[int, bytes]) -> None:
        self.send(CONFIG, NLM_F_REQUEST | NLM_F_ACK, (kind, value), *more)
        answer = self.socket.recv(4096)
        (message,), (error,) = struct.unpack_from("=H", answer, 4), struct.unpack_from("=i", answer, 16)
        if message == NLMSG_ERROR and error:
            raise SystemExit(f"delay: the packet queue of the kernel refused setting {kind}: {os.strerror(-error)}")

    def arrived(self) -> int | None:
        """The number of the last packet that is new since the last call."""
        newest = None
        try:
            while True:
                message = self.socket.recv(4096)
                if struct.unpack_from("=H", message, 4)[0] == SUBSYSTEM << 8 | PACKET:
                    (newest,) = struct.unpack_from(">I", message, NUMBER_AT)
        except BlockingIOError:
            return newest

    def release(self, number: int) -> None:
        """Lets all packets go up to this one."""
        self.send(VERDICTS, NLM_F_REQUEST, (VERDICT_HEADER, struct.pack(">II", ACCEPT, number)))

    def send(self, message: int, flags: int, *attributes: tuple[int, bytes]) -> None:
        body = struct.pack(">BBH", 0, 0, QUEUE) + b"".join(padded(kind, value) for kind, value in attributes)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), SUBSYSTEM << 8 | message, flags, 0, 0) + body)

    def lost(self) -> int:
        """Packets for which there was no room, in the queue or on the way here."""
        return sum(int(words[5]) + int(words[6]) for words in queues() if int(words[0]) == QUEUE)


def queues() -> Iterator[list[str]]:
    # number, reader, waiting, copy mode, copy range, lost in the queue, lost on the way to the reader, ...
    with open("/proc/self/net/netfilter/nfnetlink_queue") as lines:
        yield from (line.split() for line in lines)


def padded(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


if __name__ == "__main__":
    main()

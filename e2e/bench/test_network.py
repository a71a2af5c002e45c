"""What a contestant between two hosts is refused. Run with `python3 -m unittest`, as root."""

import sys
import tempfile
import unittest
from pathlib import Path

import confine
import hosts
import network

# Stands for a program: says whether it may move content by the kernel alone.
MAY = """
import os
here, there = os.pipe()
try:
    os.sendfile(there, os.open("/etc/passwd", os.O_RDONLY), 0, 1)
    print("may")
except OSError:
    print("may not")
"""


class Refused(unittest.TestCase):
    def test_both_hosts_are_without_the_calls_of_a_contestant_whose_content_goes_through_memory(self) -> None:
        ask = [sys.executable, "-c", MAY]
        with tempfile.TemporaryDirectory() as work, hosts.joined() as two:
            for before, answer in ((None, "may"), (confine.Refusal(network.KERNEL_MOVES), "may not")):
                self.assertEqual(two.run(ask, Path(work) / "time", before)[1].strip(), answer)
                said = Path(work) / "said"
                daemon = [*two.there, "sh", "-c", f"{sys.executable} -c '{MAY}' > {said}"]
                with network.served(daemon, Path(work), before) as _:
                    network.until_ready(lambda: said.exists() and said.read_text().strip() == answer)


if __name__ == "__main__":
    unittest.main()

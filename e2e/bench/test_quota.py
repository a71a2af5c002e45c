"""A quota of processor time. Run with `python3 -m unittest`, as root."""

import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import quota

# Takes a fifth of a second of a processor, however long that lasts.
BURN = "import time\nwhile time.process_time() < 0.2: pass"


class Quota(unittest.TestCase):
    def test_a_program_gets_no_more_than_its_quota(self):
        with quota.processors(0.2) as enter:
            begin = time.monotonic()
            subprocess.run([sys.executable, "-c", BURN], preexec_fn=enter, check=True)
            # Ten periods have what it needs, of which the first and the last can be begun ones.
            self.assertGreater(time.monotonic() - begin, 7 * quota.PERIOD_US / 1e6)

    def test_nothing_is_left_of_a_group(self):
        def groups() -> list[Path]:
            parent, _ = quota.hierarchy(Path("/proc/self/mounts").read_text())
            return list(parent.glob("blit-bench-*"))

        before = groups()
        with quota.processors(1):
            self.assertEqual(len(groups()), len(before) + 1)
        self.assertEqual(groups(), before)

    def test_the_limits_are_those_of_the_version(self):
        self.assertEqual(quota.limits(1.5, 2), {"cpu.max": "150000 100000"})
        self.assertEqual(quota.limits(1, 1), {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"})

    def test_the_hierarchy_is_the_one_with_the_controller(self):
        first = "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\ncgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
        self.assertEqual(quota.hierarchy(first), (Path("/sys/fs/cgroup/cpu,cpuacct"), 1))
        with tempfile.TemporaryDirectory() as root:
            second = f"cgroup2 {root} cgroup2 rw,nosuid 0 0\n"
            with self.assertRaises(SystemExit):
                quota.hierarchy(second)
            Path(root, "cgroup.controllers").write_text("cpuset cpu io\n")
            self.assertEqual(quota.hierarchy(second), (Path(root), 2))
            self.assertEqual(Path(root, "cgroup.subtree_control").read_text(), "+cpu")


if __name__ == "__main__":
    unittest.main()

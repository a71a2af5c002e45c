"""What a confined process may do. Run with `python3 -m unittest`, as root."""

import errno
import subprocess
import sys
import unittest
from collections.abc import Callable

import confine

# unshare(CLONE_NEWNET), listxattrat, and a file; then the capabilities.
ATTEMPTS = """
import ctypes, os
kernel = ctypes.CDLL(None, use_errno=True)
kernel.unshare(0x40000000)
print(ctypes.get_errno())
ctypes.set_errno(0)
kernel.syscall(465, -1, None, 0, None, 0)
print(ctypes.get_errno())
print(os.path.exists("/proc/self"))
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff:")])
"""


def attempts(before: Callable[[], None]) -> list[str]:
    process = subprocess.run([sys.executable, "-c", ATTEMPTS], preexec_fn=before, check=True, capture_output=True, text=True)
    return process.stdout.split()


class Confine(unittest.TestCase):
    def test_the_profile_refuses_what_it_names_and_does_not_know_what_is_newer(self) -> None:
        unshare, newer, _, _ = attempts(confine.Rights().with_filter)
        self.assertEqual((int(unshare), int(newer)), (errno.EPERM, errno.ENOSYS))

    def test_files_and_the_capabilities_of_a_mover_are_left(self) -> None:
        for rights in (confine.Rights().with_filter, confine.Rights().without_filter):
            *_, file, capabilities = attempts(rights)
            self.assertEqual(file, "True")
            self.assertEqual(int(capabilities, 16), sum(1 << number for number in confine.CAPABILITIES))


if __name__ == "__main__":
    unittest.main()

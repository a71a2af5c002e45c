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


# Which calls there are: one that moves content, and two others.
MOVES = """
import errno, os, sys
here, there = os.pipe()
for call in (lambda: os.sendfile(there, os.open("/etc/passwd", os.O_RDONLY), 0, 1), lambda: os.listxattr("/"), lambda: os.getpid()):
    try:
        call()
        print("done")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


class Confine(unittest.TestCase):
    def test_the_profile_refuses_what_it_names_and_does_not_know_what_is_newer(self) -> None:
        unshare, newer, _, _ = attempts(confine.Rights().with_filter)
        self.assertEqual((int(unshare), int(newer)), (errno.EPERM, errno.ENOSYS))

    def test_files_and_the_capabilities_of_a_mover_are_left(self) -> None:
        for rights in (confine.Rights().with_filter, confine.Rights().without_filter):
            *_, file, capabilities = attempts(rights)
            self.assertEqual(file, "True")
            self.assertEqual(int(capabilities, 16), sum(1 << number for number in confine.CAPABILITIES))

    def test_a_refusal_takes_the_calls_that_it_names_and_no_other(self) -> None:
        process = subprocess.run(
            [sys.executable, "-c", MOVES], preexec_fn=confine.Refusal(["sendfile"]), check=True, capture_output=True, text=True)
        self.assertEqual(process.stdout.split(), ["ENOSYS", "done", "done"])

    def test_a_call_that_is_newer_than_libseccomp_is_refused_too(self) -> None:
        _, newer, file, _ = attempts(confine.Refusal(["listxattrat"]))
        self.assertEqual((int(newer), file), (errno.ENOSYS, "True"))


if __name__ == "__main__":
    unittest.main()

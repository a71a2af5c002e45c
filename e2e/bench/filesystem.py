"""A destination that is new for every run: a file system in a sparse file, on a loop device.

Why not `rm -rf` between runs: ext4 avoids inodes that were freed in the last minutes, and creating a file then takes
many times as long. The run after a removal measures the removal.

The mounts are made in a mount namespace of the benchmark's own (see `enter_namespace`), so that they and their loop
devices are gone when its last process is, even one that was killed.
"""

import os
import subprocess
import sys
from pathlib import Path

SIZE = 24 << 30
MAKE = {
    # Nothing is left for the kernel to initialise in the background while a contestant runs.
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,discard"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
INSIDE = "BLIT_BENCH_NAMESPACE"


def enter_namespace() -> None:
    """Starts this program again, inside a mount namespace of its own."""
    if os.environ.get(INSIDE) != "1":
        os.environ[INSIDE] = "1"  # read by the process that replaces this one
        program = ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv]
        os.execvp(program[0], program)


class FreshFilesystem:
    """Mounted on entering the context; unmounted and deleted on leaving it."""

    def __init__(self, kind: str, work: Path) -> None:
        self.make = MAKE[kind]
        self.image = work / "destination.img"
        self.mount_point = work / "destination"

    def __enter__(self) -> Path:
        self.remove()
        self.mount_point.mkdir(parents=True, exist_ok=True)
        try:
            with open(self.image, "wb") as file:
                file.truncate(SIZE)
            command([*self.make, str(self.image)])
            command(["mount", "-o", "loop", str(self.image), str(self.mount_point)])
            command(["sync", "--file-system", str(self.mount_point)])
        except BaseException:
            self.remove()
            raise
        destination = self.mount_point / "tree"
        destination.mkdir()
        return destination

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        if os.path.ismount(self.mount_point):
            command(["umount", str(self.mount_point)])
        self.image.unlink(missing_ok=True)


def command(arguments: list[str]) -> None:
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(arguments)}` failed: {result.stderr.strip()}")

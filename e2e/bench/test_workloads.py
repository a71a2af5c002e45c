"""What the benchmark copies, and how it notices a cheat. Run with `python3 -m unittest`."""

import tempfile
import unittest
from pathlib import Path

import bench
import workloads
from contestants import Contestant


def copied_by(name: str) -> Contestant:
    return Contestant(name, "", lambda *_: None)


class Workloads(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(dir=bench.REPOSITORY / "e2e")
        self.addCleanup(folder.cleanup)
        self.parent = Path(folder.name)

    def test_a_workload_is_the_same_every_time(self) -> None:
        first = workloads.make("small", self.parent / "a", 0.01)
        second = workloads.make("small", self.parent / "b", 0.01)
        self.assertEqual(workloads.contents(first), workloads.contents(second))
        files = [path for path in workloads.contents(first) if not path.endswith("/")]
        self.assertEqual(len(files), 1000)

    def test_a_finished_workload_is_not_made_again(self) -> None:
        root = workloads.make("mixed", self.parent, 0.01)
        before = (root / "00/0000.dat").stat()
        workloads.make("mixed", self.parent, 0.01)
        self.assertEqual((root / "00/0000.dat").stat().st_mtime_ns, before.st_mtime_ns)

    def test_warming_reads_data_and_leaves_holes_alone(self) -> None:
        root = workloads.make("sparse", self.parent, 0.05)
        with open(root / "00.img", "rb") as file:
            data = sum(end - start for start, end in workloads.extents(file.fileno()))
        self.assertLess(data, 10 * workloads.MIB)
        workloads.warm(root)

    def test_links_of_a_file_lie_in_other_directories(self) -> None:
        root = workloads.make("names", self.parent, 0.002)
        self.assertEqual(len([*workloads.files_below(root)]), 2_000)
        self.assertEqual((root / "00/00/000007.dat").stat().st_ino, (root / "links-8/00/00/000007.dat").stat().st_ino)

    def test_a_nearly_equal_destination_has_one_file_of_a_hundred_outdated_and_one_too_many(self) -> None:
        source = workloads.make("many", self.parent, 0.005)
        destination = self.parent / "destination"
        destination.mkdir()
        workloads.NEARLY.make(source, destination)
        before, after = workloads.contents(source), workloads.contents(destination)
        self.assertEqual(len(after.keys() - before.keys()), 15)
        self.assertEqual(sum(after[path] != size for path, size in before.items()), 15)

    def test_of_an_older_file_a_64th_is_other_in_each_stretch(self) -> None:
        source = workloads.make("large", self.parent, 0.02)
        destination = self.parent / "destination"
        destination.mkdir()
        workloads.OLDER.make(source, destination)
        new, old = ((tree / "large.dat").read_bytes() for tree in (source, destination))
        self.assertEqual(len(new), len(old))
        other = [at for at in range(0, len(new), 4096) if new[at : at + 4096] != old[at : at + 4096]]
        self.assertEqual(other[-1] - other[0], len(other) * 4096 - 4096)
        self.assertIn(len(other), (256, 257))
        self.assertLess((destination / "large.dat").stat().st_mtime, (source / "large.dat").stat().st_mtime)

    def test_a_copy_that_lacks_a_file_is_refused(self) -> None:
        source = workloads.make("mixed", self.parent, 0.01)
        with self.assertRaisesRegex(SystemExit, "cheat has not made"):
            bench.check(copied_by("cheat"), source, self.parent / "nothing")

    def test_an_older_file_that_was_left_is_refused(self) -> None:
        source = workloads.make("large", self.parent, 0.005)
        destination = self.parent / "destination"
        destination.mkdir()
        workloads.OLDER.make(source, destination)
        bench.check(copied_by("cheat"), source, destination)
        with self.assertRaisesRegex(SystemExit, "cheat has left content"):
            bench.compare(copied_by("cheat"), source, destination)

    def test_a_copy_without_the_holes_is_refused(self) -> None:
        source = workloads.make("sparse", self.parent, 0.05)
        destination = self.parent / "filled"
        destination.mkdir()
        (destination / "00.img").write_bytes((source / "00.img").read_bytes())
        with self.assertRaisesRegex(SystemExit, "cheat has filled the holes"):
            bench.check(copied_by("cheat"), source, destination)


if __name__ == "__main__":
    unittest.main()

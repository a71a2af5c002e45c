"""What the tables say. Run with `python3 -m unittest`."""

import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import network
import report
import rows
from measure import Figures
from rows import Target


def record(row: str = "small", **walls: list[float]) -> report.Record:
    runs = {name: [Figures(wall, 2 * wall, 100.0) for wall in values] for name, values in walls.items()}
    return report.Record(row, "ext4", "2026-01-01", "abc", 0.01, runs, kernel="Linux 1")


def book(*records: report.Record) -> report.Book:
    made = report.Book({"machine": "one"})
    for each in records:
        made.add(each)
    return made


class Report(unittest.TestCase):
    def test_the_median_ignores_one_slow_run(self) -> None:
        self.assertEqual(report.middle([Figures(9, 1, 1), Figures(1, 3, 1), Figures(2, 2, 1)]).wall_seconds, 2)

    def test_a_peer_that_takes_longer_has_a_ratio_above_one(self) -> None:
        [(_, table), *_] = report.tables([record(blit=[2.0], rsync=[5.0])])
        self.assertEqual(table, [["", "blit", "rsync"], ["small, ext4", "2.00", "5.00 2.50x"]])

    def test_wins_losses_and_ties_are_all_said(self) -> None:
        self.assertEqual(
            report.verdict(record(blit=[2.0], rsync=[5.0], cp=[1.0], tar=[2.05])),
            "small, ext4: ahead of rsync (2.50x); level with tar (1.02x); behind cp (0.50x)",
        )

    def test_a_target_is_missed_or_reached(self) -> None:
        found = record(blit=[2.0], rsync=[5.0])
        self.assertEqual(report.judged(Target("rsync", 3), found), ("rsync takes 3.00x as long, or longer", "2.50x", False))
        self.assertEqual(report.judged(Target("rsync", 2.5), found)[2], True)
        self.assertEqual(report.judged(Target(peak_mib=100), found)[2], False)
        self.assertEqual(report.judged(Target(peak_mib=101), found)[2], True)

    def test_a_target_in_seconds_or_on_the_wire_is_missed_or_reached(self) -> None:
        found = record(blit=[2.0])
        self.assertEqual(report.judged(Target(seconds=1.5), found), ("within 1.5 s", "2.00 s", False))
        self.assertEqual(report.judged(Target(seconds=2), found)[2], True)
        self.assertIsNone(report.judged(Target(wire_mib=128), found))
        found.runs["blit"][0] = Figures(2.0, 4.0, 100.0, wire_mib=128.5)
        self.assertEqual(report.judged(Target(wire_mib=128), found), ("at most 128 MiB on the wire", "128.5 MiB", False))
        self.assertEqual(report.judged(Target(wire_mib=129), found)[2], True)

    def test_for_memory_and_the_first_byte_the_worst_of_our_ways_counts(self) -> None:
        found = record(**{"blit": [2.0], "blit, gRPC": [3.0], "rsyncd": [1.0]})
        for name, peak, first in (("blit", 10.0, 0.1), ("blit, gRPC", 20.0, 0.2), ("rsyncd", 30.0, 0.3)):
            found.runs[name][0] = Figures(1.0, 1.0, peak, first_byte_seconds=first)
        self.assertEqual(report.judged(Target(peak_mib=15), found)[1:], ("20.0 MiB", False))
        self.assertEqual(report.judged(Target(first_byte_seconds=0.2), found)[1:], ("0.200 s", True))

    def test_against_a_peer_without_syncfs_that_of_blit_does_not_count(self) -> None:
        found = record(blit=[2.0], iperf3=[1.6])
        found.runs["blit"][0] = Figures(2.0, 4.0, 100.0, sync_seconds=0.4)
        self.assertEqual(report.judged(Target("iperf3", 0.98), found)[1:], ("0.80x", False))
        self.assertEqual(report.judged(Target("iperf3", 0.98, without_sync=True), found)[1:], ("1.00x", True))

    def test_the_calls_alone_are_a_bound_and_no_rival(self) -> None:
        found = record(blit=[2.0], cp=[5.0], floor=[1.6])
        self.assertEqual(report.at_floor(Target("cp", 2), found), "3.12x")
        self.assertEqual(report.at_floor(Target("cp", 2), record(blit=[2.0], cp=[5.0])), "")
        self.assertEqual(report.at_floor(Target(seconds=1), found), "")
        self.assertNotIn("floor", report.verdict(found))

    def test_a_target_of_another_file_system_or_of_an_absent_peer_is_not_judged(self) -> None:
        found = record(blit=[2.0], rsync=[5.0])
        self.assertIsNone(report.judged(Target("rsync", 3, "xfs"), found))
        self.assertIsNone(report.judged(Target("cpz", 1), found))
        self.assertIsNone(report.judged(Target(first_byte_seconds=0.5), found))

    def test_every_row_is_in_a_section_and_every_target_names_a_contestant(self) -> None:
        anywhere = rows.contestants.Programs(Path("blit"), Path("peers"), floor=Path("floor"))
        for row in rows.ROWS:
            self.assertIn(row.section, rows.SECTIONS)
            names = [entered.name for entered in row.field(anywhere)]
            for target in row.targets:
                # Of those between two hosts this machine may lack one.
                self.assertIn(target.peer, [None, *names, *network.SHOWN], row.name)

    def test_the_final_syncfs_is_given_apart_where_somebody_makes_one(self) -> None:
        synced = record(blit=[2.0], rsync=[5.0])
        synced.runs["blit"][0] = Figures(2.0, 4.0, 100.0, sync_seconds=0.5)
        title, table = report.tables([synced])[-1]
        self.assertIn("syncfs", title)
        self.assertEqual(table[1], ["small, ext4", "0.50", "-"])

    def test_processor_time_is_given_by_gib_where_the_content_takes_it(self) -> None:
        def by_gib(row: str) -> list[list[list[str]]]:
            found = replace(record(row, blit=[2.0]), content_gib=4.0)
            return [table for title, table in report.tables([found]) if "GiB" in title]

        self.assertEqual(by_gib("large"), [[["", "blit"], ["large, ext4", "1.00"]]])
        self.assertEqual(by_gib("small"), [])

    def test_the_page_shows_targets_findings_commands_and_figures(self) -> None:
        page = report.for_docs(book(record(blit=[2.0], rsync=[5.0])), ["One."], "## Lost\n\nNothing.\n")
        for line in (
            "- blit: `blit mirror SRC/ DST/`", "| small, ext4 | 2.00 | 5.00 2.50x |", "- One.", "Nothing.",
            "| small | ext4 | rsync takes 3.00x as long, or longer | 2.50x | **no** |  |",
            "| small | ext4 | 2026-01-01 | abc | Linux 1 | 1% | 1 |",
        ):
            self.assertIn(f"\n{line}\n", page)


class Kept(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "figures.json"
        book(record(blit=[2.0]), record("mixed", blit=[1.0])).keep(self.path)

    def test_a_row_that_is_measured_again_replaces_its_figures_only(self) -> None:
        again = report.Book.read(self.path, {"machine": "one"})
        again.add(record(blit=[3.0]))
        self.assertEqual(again.records["small", "ext4"].runs["blit"][0].wall_seconds, 3.0)
        self.assertEqual(again.records["mixed", "ext4"], record("mixed", blit=[1.0]))

    def test_figures_that_were_kept_before_there_were_some_more_are_kept(self) -> None:
        kept = json.loads(self.path.read_text())
        for each in kept["records"]:
            del each["content_gib"]
            for runs in each["runs"].values():
                for run in runs:
                    del run["wire_mib"]
        self.path.write_text(json.dumps(kept))
        self.assertEqual(report.Book.read(self.path, {"machine": "one"}).records["small", "ext4"], record(blit=[2.0]))

    def test_the_kernel_that_once_stood_with_the_machine_is_that_of_each_row(self) -> None:
        kept = json.loads(self.path.read_text())
        kept["machine"]["kernel"] = "Linux 0"
        for each in kept["records"]:
            del each["kernel"]
        self.path.write_text(json.dumps(kept))
        again = report.Book.read(self.path, {"machine": "one"})
        again.add(record(blit=[3.0]))
        self.assertEqual([each.kernel for each in again.records.values()], ["Linux 1", "Linux 0"])

    def test_figures_of_another_machine_are_not_mixed_in(self) -> None:
        self.assertEqual(report.Book.read(self.path, {"machine": "two"}).records, {})

    def test_figures_of_another_version_of_the_harness_are_begun_anew(self) -> None:
        for kept in ('[{"section": "Local copy"}]', '{"machine": {"machine": "one"}, "records": [{"runs": {"blit": [{"old": 1}]}}]}', "{"):
            self.path.write_text(kept)
            self.assertEqual(report.Book.read(self.path, {"machine": "one"}).records, {}, kept)


if __name__ == "__main__":
    unittest.main()

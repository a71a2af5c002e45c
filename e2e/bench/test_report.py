"""What the tables say. Run with `python3 -m unittest`."""

import unittest

import report
from measure import Figures


def section(**walls: list[float]) -> report.Section:
    runs = {("small", name): [Figures(wall, 2 * wall, 100.0) for wall in values] for name, values in walls.items()}
    return report.Section("Local copy", "Explained.", {name: f"{name} SRC DST" for name in walls}, runs)


class Report(unittest.TestCase):
    def test_the_median_ignores_one_slow_run(self) -> None:
        self.assertEqual(report.middle([Figures(9, 1, 1), Figures(1, 3, 1), Figures(2, 2, 1)]).wall_seconds, 2)

    def test_a_peer_that_takes_longer_has_a_ratio_above_one(self) -> None:
        [(_, rows), *_] = report.tables(section(blit=[2.0], rsync=[5.0]))
        self.assertEqual(rows, [["", "blit", "rsync"], ["small", "2.00", "5.00 2.50x"]])

    def test_wins_losses_and_ties_are_all_said(self) -> None:
        self.assertEqual(
            report.verdicts(section(blit=[2.0], rsync=[5.0], cp=[1.0], tar=[2.05])),
            ["small: ahead of rsync (2.50x); level with tar (1.02x); behind cp (0.50x)"],
        )

    def test_the_final_syncfs_is_given_apart_where_somebody_makes_one(self) -> None:
        with_sync = section(blit=[2.0], rsync=[5.0])
        with_sync.runs["small", "blit"][0] = Figures(2.0, 4.0, 100.0, sync_seconds=0.5)
        title, rows = report.tables(with_sync)[-1]
        self.assertIn("syncfs", title)
        self.assertEqual(rows[1], ["small", "0.50", "-"])

    def test_the_page_shows_commands_facts_and_figures(self) -> None:
        page = report.for_docs([section(blit=[2.0])], {"date": "2026-01-01"}, ["One."])
        for line in ("- blit: `blit SRC DST`", "| date | 2026-01-01 |", "| small | 2.00 |", "- One."):
            self.assertIn(f"\n{line}\n", page)


if __name__ == "__main__":
    unittest.main()

"""Turns figures into tables. Only [`Book.read`] and [`Book.keep`] touch files."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import contestants
from measure import Figures
from rows import ROWS, SECTIONS, Row, Target

# Two programs whose times differ by less than this are called level: runs of one program differ by as much.
LEVEL = 0.05
# The contestant that is no rival: it makes the calls and does nothing else.
FLOOR = "floor"


@dataclass(frozen=True)
class Record:
    """The figures of one row on one file system, of one sitting."""

    row: str
    filesystem: str
    date: str
    commit: str
    # Share of the processors that others used just before.
    others: float
    # contestant (the first is Blit) -> one entry a run
    runs: Mapping[str, Sequence[Figures]]
    # In the files of the source; None in what was measured before it was asked for.
    content_gib: float | None = None
    # The build of the kernel it was measured on: one machine after the other may come with its own.
    kernel: str = ""


@dataclass
class Book:
    """All figures of one kind of machine: the last of each row and file system."""

    machine: Mapping[str, str]
    records: dict[tuple[str, str], Record] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.records[record.row, record.filesystem] = record

    def of(self, section: str) -> list[tuple[Row, Record]]:
        """In the order of the rows, each with its file systems."""
        rows = [row for row in ROWS if row.section == section]
        return [
            (row, self.records[row.name, kind]) for row in rows for kind in row.filesystems if (row.name, kind) in self.records
        ]

    @classmethod
    def read(cls, path: Path, machine: Mapping[str, str]) -> "Book":
        """What is kept, unless it is another machine's, or other versions': figures of two do not belong on one page."""
        book = cls(machine)
        if not path.exists():
            return book
        try:
            kept = json.loads(path.read_text())
            # It stood there once, for all rows.
            kernel = kept["machine"].pop("kernel", "")
            if kept["machine"] == machine:
                for record in kept["records"]:
                    runs = {name: [Figures(**run) for run in runs] for name, runs in record["runs"].items()}
                    book.add(Record(**{"kernel": kernel, **record, "runs": runs}))
            else:
                print(f"bench: {path} is of another machine, or of other versions of its programs; it is begun anew")
        except (ValueError, TypeError, KeyError) as error:
            # A folder of work outlives the harness that wrote to it.
            print(f"bench: {path} was written by another version of this harness ({error}); it is begun anew")
            return cls(machine)
        return book

    def keep(self, path: Path) -> None:
        records = [asdict(record) for record in self.records.values()]
        path.write_text(json.dumps({"machine": self.machine, "records": records}, indent=1) + "\n")


def middle(runs: Sequence[Figures]) -> Figures:
    """The median of each figure on its own."""

    def of(name: str) -> float | None:
        values = [value for run in runs if (value := getattr(run, name)) is not None]
        return median(values) if values else None

    return Figures(*(of(name) for name in Figures.__dataclass_fields__))  # type: ignore[arg-type]


def ratio(record: Record, peer: str) -> float:
    """How many times as long as Blit a peer takes."""
    own = next(iter(record.runs))
    return middle(record.runs[peer]).wall_seconds / middle(record.runs[own]).wall_seconds


def without_sync(record: Record, peer: str) -> float:
    """The same, where the final syncfs of Blit does not count."""
    own = next(iter(record.runs.values()))
    return middle(record.runs[peer]).wall_seconds / median(run.wall_seconds - (run.sync_seconds or 0) for run in own)


def verdict(record: Record) -> str:
    """Against whom Blit wins, with whom it is level, to whom it loses, and by how much."""
    groups: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
    for other in list(record.runs)[1:]:
        if other == FLOOR:
            continue
        times = ratio(record, other)
        group = "ahead of" if times > 1 + LEVEL else "behind" if times < 1 - LEVEL else "level with"
        groups[group].append(f"{other} ({times:.2f}x)")
    said = [f"{group} {', '.join(names)}" for group, names in groups.items() if names]
    return f"{record.row}, {record.filesystem}: " + ("; ".join(said) or "alone")


def judged(target: Target, record: Record) -> tuple[str, str, bool] | None:
    """What was asked for, what was measured, and whether that is enough; `None` where it was not measured."""
    own = middle(next(iter(record.runs.values())))
    if target.peer is not None:
        if target.peer not in record.runs or target.filesystem not in (None, record.filesystem):
            return None
        times = (without_sync if target.without_sync else ratio)(record, target.peer)
        asked = f"{target.peer} takes {target.times:.2f}x as long, or longer" + ", the final syncfs not counted" * target.without_sync
        return asked, f"{times:.2f}x", round(times, 2) >= round(target.times, 2)
    if target.seconds is not None:
        return f"within {target.seconds} s", f"{seconds(own.wall_seconds)} s", own.wall_seconds <= target.seconds
    if target.wire_mib is not None:
        if own.wire_mib is None:
            return None
        return f"at most {target.wire_mib:.0f} MiB on the wire", f"{own.wire_mib:.1f} MiB", own.wire_mib <= target.wire_mib
    if target.first_byte_seconds is not None:
        found = worst(record, lambda run: run.first_byte_seconds)
        if found is None:
            return None
        return f"first byte within {target.first_byte_seconds} s", f"{found:.3f} s", found <= target.first_byte_seconds
    assert target.peak_mib is not None
    peak = worst(record, lambda run: run.peak_mib)
    assert peak is not None
    return f"peak memory below {target.peak_mib:.0f} MiB", f"{peak:.1f} MiB", peak < target.peak_mib


def worst(record: Record, figure: Callable[[Figures], float | None]) -> float | None:
    """The largest figure of the contestants that are Blit, each in its middle run; `None` if one of them has none."""
    own = [figure(middle(runs)) for name, runs in record.runs.items() if name.startswith("blit")]
    known = [found for found in own if found is not None]
    return max(known) if len(known) == len(own) else None


def at_floor(target: Target, record: Record) -> str:
    """What would be measured of a program that makes the calls and does nothing else."""
    if target.peer is None or not {FLOOR, target.peer} <= record.runs.keys():
        return ""
    return f"{ratio(record, target.peer) / ratio(record, FLOOR):.2f}x"


def targets(book: Book) -> list[list[str]]:
    rows = [["row", "file system", "target", "measured", "reached", "the calls alone"]]
    for section in SECTIONS:
        for row, record in book.of(section):
            for target in row.targets:
                if found := judged(target, record):
                    asked, measured, reached = found
                    rows.append([row.name, record.filesystem, asked, measured, "yes" if reached else "**no**", at_floor(target, record)])
    return rows


def tables(records: Sequence[Record]) -> list[tuple[str, list[list[str]]]]:
    """Title and rows (the first is the header) of the tables of rows that have the same contestants."""
    names = list(records[0].runs)

    def wall(record: Record, name: str) -> str:
        value, times = middle(record.runs[name]), [run.wall_seconds for run in record.runs[name]]
        text = seconds(value.wall_seconds)
        if len(times) > 1:
            text += f" [{seconds(min(times))}-{seconds(max(times))}]"
        if name != names[0]:
            text += f" {ratio(record, name):.2f}x"
        return text

    def optional(figure: str):
        def cell(record: Record, name: str) -> str:
            value = getattr(middle(record.runs[name]), figure)
            return "-" if value is None else seconds(value)

        return cell

    def by_gib(record: Record, name: str) -> str:
        row = next(row for row in ROWS if row.name == record.row)
        return f"{middle(record.runs[name]).cpu_seconds / record.content_gib:.2f}" if row.by_gib and record.content_gib else "-"

    def wire(record: Record, name: str) -> str:
        value = middle(record.runs[name]).wire_mib
        return "-" if value is None else f"{value:.1f}"

    cells = {
        "Seconds [fastest-slowest run], and how many times as long as Blit": wall,
        "Processor seconds, user and system, all processes": lambda r, n: f"{middle(r.runs[n]).cpu_seconds:.2f}",
        "Processor seconds for each GiB of content": by_gib,
        "Peak memory of the largest process, MiB": lambda r, n: f"{middle(r.runs[n]).peak_mib:.0f}",
        "Seconds to the first byte of content": optional("first_byte_seconds"),
        "Of the seconds, those of the final syncfs": optional("sync_seconds"),
        "MiB on the wire, both directions": wire,
    }
    found = []
    for title, cell in cells.items():
        body = [[f"{record.row}, {record.filesystem}", *(cell(record, name) for name in names)] for record in records]
        if any(value != "-" for _, *values in body for value in values):
            found.append((title, [["", *names], *body]))
    return found


def seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def same_contestants(found: Sequence[tuple[Row, Record]]) -> list[list[Record]]:
    """Rows of a section, those with the same contestants together."""
    groups: dict[tuple[str, ...], list[Record]] = {}
    for _, record in found:
        groups.setdefault(tuple(record.runs), []).append(record)
    return list(groups.values())


def as_text(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_markdown(rows: list[list[str]], numbers: bool = True) -> str:
    header, *body = rows
    ruled = [header, ["---"] + ["---:" if numbers else "---"] * (len(header) - 1), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def for_terminal(book: Book, only: Sequence[str] | None) -> str:
    parts = []
    for section in SECTIONS:
        found = [(row, record) for row, record in book.of(section) if not only or row.name in only]
        if not found:
            continue
        parts.append(section.upper())
        for records in same_contestants(found):
            parts += [f"{title}\n{as_text(rows)}" for title, rows in tables(records)]
        parts.append("\n".join(verdict(record) for _, record in found))
    parts += ["TARGETS", as_text(targets(book))]
    return "\n\n".join(parts)


def for_docs(book: Book, remarks: Sequence[str], findings: str) -> str:
    parts = [
        "# Benchmarks",
        "Written by `make bench`; change the harness in `e2e/bench`, and what is said about losses in `e2e/bench/findings.md`,\n"
        "not this page. A ratio above 1 means that the other program takes longer than Blit, one below 1 that Blit takes\n"
        "longer. Times of a machine drift; ratios of one sitting hold better. The figures of every single run are in\n"
        "[benchmarks.json](benchmarks.json).",
        "## Targets",
        as_markdown(targets(book), numbers=False),
        findings.strip(),
        "## Where and how",
        as_markdown([["what", "value"], *([key, value] for key, value in book.machine.items())], numbers=False),
        "\n".join(f"- {remark}" for remark in remarks),
    ]
    for section, explanation in SECTIONS.items():
        found = book.of(section)
        if not found:
            continue
        parts += [f"## {section}", explanation]
        for records in same_contestants(found):
            parts.append("\n".join(f"- {name}: `{shown}`" for name, shown in commands(records[0]).items()))
            for title, rows in tables(records):
                parts += [f"{title}:", as_markdown(rows)]
        parts += ["By time:", "\n".join(f"- {verdict(record)}" for _, record in found)]
    parts += ["## When", as_markdown(when(book), numbers=False)]
    return "\n\n".join(parts) + "\n"


def commands(record: Record) -> dict[str, str]:
    """What each contestant is, as a reader would type it."""
    row = next(row for row in ROWS if row.name == record.row)
    anywhere = contestants.Programs(Path("blit"), Path("peers"), floor=Path("floor"))
    return {entered.name: entered.shown for entered in row.field(anywhere) if entered.name in record.runs}


def when(book: Book) -> list[list[str]]:
    rows = [["row", "file system", "date", "commit", "kernel", "others' share of the processors just before", "runs"]]
    for section in SECTIONS:
        for row, record in book.of(section):
            runs = len(next(iter(record.runs.values())))
            rows.append([row.name, record.filesystem, record.date, record.commit, record.kernel, f"{record.others:.0%}", str(runs)])
    return rows

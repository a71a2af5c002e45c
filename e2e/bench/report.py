"""Turns figures into tables. Pure: no clock, no files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from measure import Figures

# Two programs whose times differ by less than this are called level: runs of one program differ by as much.
LEVEL = 0.05


@dataclass(frozen=True)
class Section:
    """One comparison: contestants in columns (the first is Blit), workloads in rows."""

    title: str
    explanation: str
    contestants: Mapping[str, str]
    # (workload, contestant) -> one entry a run
    runs: Mapping[tuple[str, str], Sequence[Figures]]

    def workloads(self) -> list[str]:
        return list(dict.fromkeys(workload for workload, _ in self.runs))


def middle(runs: Sequence[Figures]) -> Figures:
    """The median of each figure on its own."""
    syncs = [run.sync_seconds for run in runs if run.sync_seconds is not None]
    return Figures(
        median(run.wall_seconds for run in runs),
        median(run.cpu_seconds for run in runs),
        median(run.peak_mib for run in runs),
        median(syncs) if syncs else None,
    )


def verdicts(section: Section) -> list[str]:
    """One line a workload: against whom Blit wins, with whom it is level, to whom it loses, and by how much."""
    lines = []
    first, *others = section.contestants
    for workload in section.workloads():
        own = middle(section.runs[workload, first]).wall_seconds
        groups: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
        for other in others:
            ratio = middle(section.runs[workload, other]).wall_seconds / own
            group = "ahead of" if ratio > 1 + LEVEL else "behind" if ratio < 1 - LEVEL else "level with"
            groups[group].append(f"{other} ({ratio:.2f}x)")
        lines.append(f"{workload}: " + "; ".join(f"{group} {', '.join(names)}" for group, names in groups.items() if names))
    return lines


def tables(section: Section) -> list[tuple[str, list[list[str]]]]:
    """Title and rows (the first is the header) of each table of a section."""
    first = next(iter(section.contestants))

    def cell_wall(workload: str, name: str) -> str:
        runs = section.runs[workload, name]
        value = middle(runs)
        times = [run.wall_seconds for run in runs]
        text = f"{value.wall_seconds:.2f}"
        if len(runs) > 1:
            text += f" [{min(times):.2f}-{max(times):.2f}]"
        if name != first:
            text += f" {value.wall_seconds / middle(section.runs[workload, first]).wall_seconds:.2f}x"
        return text

    def cell_sync(workload: str, name: str) -> str:
        value = middle(section.runs[workload, name]).sync_seconds
        return "-" if value is None else f"{value:.2f}"

    cells = {
        "Seconds [fastest-slowest run], and how many times as long as blit": cell_wall,
        "Processor seconds, user and system, all processes": lambda w, n: f"{middle(section.runs[w, n]).cpu_seconds:.2f}",
        "Peak memory of the largest process, MiB": lambda w, n: f"{middle(section.runs[w, n]).peak_mib:.0f}",
    }
    if any(run.sync_seconds is not None for runs in section.runs.values() for run in runs):
        cells["Of the seconds, those of the final syncfs"] = cell_sync
    names = list(section.contestants)
    return [
        (title, [["", *names], *([workload, *(cell(workload, name) for name in names)] for workload in section.workloads())])
        for title, cell in cells.items()
    ]


def as_text(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def as_markdown(rows: list[list[str]]) -> str:
    header, *body = rows
    ruled = [header, ["---"] + ["---:"] * (len(header) - 1), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def for_terminal(sections: Sequence[Section]) -> str:
    parts = []
    for section in sections:
        parts.append(section.title.upper())
        parts += [f"{title}\n{as_text(rows)}" for title, rows in tables(section)]
        parts.append("\n".join(verdicts(section)))
    return "\n\n".join(parts)


def for_docs(sections: Sequence[Section], facts: Mapping[str, str], remarks: Sequence[str]) -> str:
    parts = [
        "# Benchmarks",
        "Written by `make bench`; change the harness in `e2e/bench`, not this page. A ratio above 1 means that the other\n"
        "program takes longer than Blit, one below 1 that Blit takes longer. Times of a machine drift; ratios of one session\n"
        "hold better.",
        "## Where and when",
        as_markdown([["what", "value"], *([key, value] for key, value in facts.items())]).replace("---:", "---"),
        "## How",
        "\n".join(f"- {remark}" for remark in remarks),
    ]
    for section in sections:
        parts += [f"## {section.title}", section.explanation]
        parts.append("\n".join(f"- {name}: `{shown}`" for name, shown in section.contestants.items()))
        for title, rows in tables(section):
            parts += [f"{title}:", as_markdown(rows)]
        parts += ["Wins and losses by time:", "\n".join(f"- {line}" for line in verdicts(section))]
    return "\n\n".join(parts) + "\n"

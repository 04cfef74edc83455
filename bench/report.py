"""The figures of one run as a table in Markdown, each beside its aim."""

from __future__ import annotations

from dataclasses import dataclass

from bench.statements import Statements

MEBIBYTE = 1024**2
MOST_WORKER_MEMORY = 150 * MEBIBYTE
HEADINGS = ("what", "CPU µs", "× hello", "bytes sent", "SQL cold", "SQL warm", "aim", "result")


@dataclass(frozen=True, kw_only=True)
class PageFigures:
    """What one page costs: medians of CPU per request in microseconds and of the ratio to the hello beside it."""

    name: str
    microseconds: float
    ratio: float
    sent: int
    statements: Statements
    aim: float | None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of the workers and of the process that started them; `kind` is PSS or RSS."""

    kind: str
    workers: list[int]
    parent: int


def table(hello: float, pages: list[PageFigures], memory: Memory) -> str:
    """Return the table; `hello` in microseconds of CPU per request."""
    rows = [
        HEADINGS,
        ("---", *("---:" for _ in HEADINGS[1:])),
        ("Flask hello", f"{hello:.0f}", "1", "", "", "", "", ""),
        *(_page_row(page) for page in pages),
        *_memory_rows(memory),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _page_row(page: PageFigures) -> tuple[str, ...]:
    return (
        page.name,
        f"{page.microseconds:.0f}",
        f"{page.ratio:.2f}",
        f"{page.sent:,}",
        str(page.statements.cold),
        str(page.statements.warm),
        "" if page.aim is None else f"≤ {page.aim:g} × hello",
        "" if page.aim is None else _verdict(page.ratio <= page.aim),
    )


def _memory_rows(memory: Memory) -> list[tuple[str, ...]]:
    total = sum(memory.workers)
    each = " + ".join(f"{size / MEBIBYTE:.0f}" for size in memory.workers)
    blank = ("",) * (len(HEADINGS) - 3)
    return [
        (
            f"memory of {len(memory.workers)} workers ({memory.kind}): {each} = {total / MEBIBYTE:.0f} MiB",
            *blank,
            f"≤ {MOST_WORKER_MEMORY // MEBIBYTE} MiB",
            _verdict(total <= MOST_WORKER_MEMORY),
        ),
        (f"memory of the process that started them: {memory.parent / MEBIBYTE:.0f} MiB", *blank, "", ""),
    ]


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"

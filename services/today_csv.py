"""The figures of the staff's first page as a CSV file (RFC 4180) that no spreadsheet runs (pure)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

# What spreadsheets take for the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection).
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def guarded(cell: str | int) -> str:
    """Return a cell as it is written: a text that a spreadsheet would run gets an apostrophe before it."""
    text = str(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(DANGEROUS) else text


def write_file(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Return the whole file, every cell guarded, with the mark by which spreadsheets know UTF-8."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows([guarded(cell) for cell in row] for row in (header, *rows))
    return f"\ufeff{file.getvalue()}"

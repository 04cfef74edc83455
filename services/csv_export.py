"""CSV for spreadsheets, line by line: any length needs no memory, and no cell is taken for a formula (pure)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal

# Without it Excel reads UTF-8 as the machine's old code page, and every accent is two signs.
BYTE_ORDER_MARK = "\ufeff"
# What spreadsheets take for the beginning of a formula or of a command (owasp.org/www-community/attacks/CSV_Injection),
# among them the wide signs that East Asian ones read as the narrow, and what moves a formula into a cell of its own.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

Cell = str | int | float | bool | Decimal | date | datetime | None


def guarded(cell: Cell) -> str:
    """Return a cell as it is written: a text that a spreadsheet would run gets an apostrophe before it.

    Numbers are written as they are, negative ones too: nothing in them can run. Moments are in ISO 8601; None is empty.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, date):
        return cell.isoformat()
    if not isinstance(cell, str):
        return str(cell)
    return f"'{cell}" if cell.startswith(_DANGEROUS) else cell


def lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Yield a CSV file (RFC 4180) line by line, as the rows come; each cell is guarded, the header, too."""
    echo = _Echo()
    writer = csv.writer(echo, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in header])
    yield BYTE_ORDER_MARK + echo.line
    for row in rows:
        writer.writerow([guarded(cell) for cell in row])
        yield echo.line


class _Echo:
    """A file that remembers the last line written to it."""

    line = ""

    def write(self, line: str) -> int:
        """Remember a line."""
        self.line = line
        return len(line)

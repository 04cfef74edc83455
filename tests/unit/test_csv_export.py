"""CSV files: what stands in their cells, and what spreadsheets must not take it for."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count, islice

import pytest

from services.csv_export import BYTE_ORDER_MARK, Cell, guarded, lines


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_would_run_gets_an_apostrophe(sign: str) -> None:
    text = f"{sign}HYPERLINK(1)"
    assert guarded(text) == f"'{text}"
    assert guarded(sign) == f"'{sign}"


@pytest.mark.parametrize("text", ["", "plain", "a=b", "1+1", "x-y", "ana@example.com", "'=1", " =1", "été", "香港"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (0, "0"),
        (-5, "-5"),
        (True, "yes"),
        (False, "no"),
        (Decimal("-1.50"), "-1.50"),
        (date(2026, 11, 25), "2026-11-25"),
        (datetime(2026, 11, 25, 4, 30, tzinfo=UTC), "2026-11-25T04:30:00+00:00"),
    ],
)
def test_what_is_no_text_cannot_run(cell: Cell, text: str) -> None:
    assert guarded(cell) == text


def test_a_reader_gets_the_cells_back() -> None:
    """With commas, quotes and lines inside, and guarded ones guarded; so is the header."""
    rows: list[tuple[Cell, ...]] = [("a,b", 'say "yes"', "one\ntwo"), ("=1", -1, None)]
    text = "".join(lines(("First", "=Second", "Third"), rows))
    assert text.startswith(f"{BYTE_ORDER_MARK}First,'=Second,Third\r\n")
    read = list(csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")))
    assert read[1:] == [["a,b", 'say "yes"', "one\ntwo"], ["'=1", "-1", ""]]


def test_a_formula_cannot_break_out_of_its_cell() -> None:
    """A cell whose text closes its quotes and begins another one is one cell still."""
    (row,) = [*csv.reader(io.StringIO("".join(lines(("x",), [('",=1',)])), newline=""))][1:]
    assert row == ['",=1']


def test_rows_are_written_as_they_come() -> None:
    """A file without an end begins at once."""

    def endless() -> Iterator[tuple[int]]:
        yield from ((number,) for number in count())

    assert list(islice(lines(("n",), endless()), 3))[1:] == ["0\r\n", "1\r\n"]


def test_a_file_without_rows_has_its_header() -> None:
    assert list(lines(("a", "b"), [])) == [f"{BYTE_ORDER_MARK}a,b\r\n"]

"""The file of the staff's first page."""

from __future__ import annotations

import pytest

from services.today_csv import guarded, write_file


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_run_is_text(cell: str) -> None:
    """An apostrophe stands before it, in the header too."""
    assert guarded(cell) == f"'{cell}"
    assert write_file([cell], []).startswith(("\ufeff'", "\ufeff\"'"))


@pytest.mark.parametrize(("cell", "written"), [("EUR", "EUR"), ("14.90", "14.90"), ("", ""), (3, "3"), (-3, "-3")])
def test_everything_else_stays_as_it_is(cell: str | int, written: str) -> None:
    """Numbers too: nothing in them can run."""
    assert guarded(cell) == written


def test_a_file_has_a_line_for_each_row() -> None:
    """Commas are quoted."""
    assert write_file(["Day", "Sum"], [["a,b", 1], ["c", 2]]) == '\ufeffDay,Sum\r\n"a,b",1\r\nc,2\r\n'

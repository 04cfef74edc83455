"""Every case of the list of payment faults is tested, on both databases, and says in one sentence what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CASES = 25
FOLDER = Path(__file__).parent.parent / "faults"
NAME = re.compile(r"test_case_(\d\d)_\w+")


def functions() -> list[tuple[Path, ast.FunctionDef]]:
    """Return the test functions of all payment cases, with where they are."""
    files = sorted(FOLDER.glob("test_payments_*.py"))
    return [
        (file, node)
        for file in files
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_case_")
    ]


def test_every_case_is_there() -> None:
    """The numbers go from 1 to 25 without a gap, and each module holds those that it is named after."""
    found: dict[int, set[str]] = {}
    for file, function in functions():
        match = NAME.fullmatch(function.name)
        assert match is not None, function.name
        found.setdefault(int(match[1]), set()).add(file.stem)
    assert sorted(found) == list(range(1, CASES + 1))
    for number, modules in found.items():
        for module in modules:
            first, last = map(int, module.split("_")[-2:])
            assert first <= number <= last


@pytest.mark.parametrize(("file", "function"), functions(), ids=lambda value: getattr(value, "name", None))
def test_a_case_says_what_it_is_and_runs_on_both_databases(file: Path, function: ast.FunctionDef) -> None:
    """The first paragraph of its docstring is a sentence; it asks for the running shop, on SQLite and PostgreSQL."""
    sentence = " ".join((ast.get_docstring(function) or "").split("\n\n")[0].split())
    assert re.fullmatch(r"[A-Z0-9].{20,}\.", sentence), function.name
    assert "running_shop" in [argument.arg for argument in function.args.args]
    marks = {ast.unparse(decorator) for decorator in function.decorator_list}
    whole = "pytestmark = both_databases" in file.read_text(encoding="utf-8")
    assert whole or marks & {"both_databases", "every_trouble"}, function.name

"""Files that a newcomer can read in one go."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MODULE, FUNCTION, VIEW, TEMPLATE, FRAGMENT, TEST_MODULE = 300, 40, 30, 120, 60, 500
# Tables one after the other, with nothing to follow from one to the next.
LONG = {"models.py"}


def files(pattern: str, *folders: str) -> list[Path]:
    """Return the files of some folders."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob(pattern))


MODULES = [*files("*.py", "blueprints", "services", "sandbox", "scripts"), *sorted(ROOT.glob("*.py"))]
TEMPLATES = files("*.*", "templates")


def name(file: Path) -> str:
    """Return the path inside the project."""
    return file.relative_to(ROOT).as_posix()


def lines(file: Path) -> int:
    """Return how many lines a file has."""
    return len(file.read_text(encoding="utf-8").splitlines())


def functions(file: Path) -> list[ast.FunctionDef]:
    """Return every function and method of a module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    """Return the lines of a function without its docstring, its decorators and the functions inside it."""
    inner = sum(length(node) + 1 for node in function.body if isinstance(node, ast.FunctionDef))
    docstring = function.body[0] if ast.get_docstring(function) else None
    words = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - words - inner


@pytest.mark.parametrize("file", MODULES, ids=name)
def test_modules_and_their_functions_are_short(file: Path) -> None:
    """300 lines a module, 40 a function; 30 in a view."""
    if name(file) not in LONG:
        assert lines(file) <= MODULE
    most = VIEW if file.is_relative_to(ROOT / "blueprints") else FUNCTION
    assert {function.name: length(function) for function in functions(file) if length(function) > most} == {}


@pytest.mark.parametrize("file", TEMPLATES, ids=name)
def test_templates_are_short(file: Path) -> None:
    """120 lines a page, 60 a fragment."""
    assert lines(file) <= (FRAGMENT if file.name.startswith("_") and file.parent.name != "_macros" else TEMPLATE)


@pytest.mark.parametrize("file", files("*.py", "tests"), ids=name)
def test_test_modules_are_short(file: Path) -> None:
    """500 lines a test module, 300 what all tests share."""
    assert lines(file) <= (300 if file.name == "conftest.py" else TEST_MODULE)

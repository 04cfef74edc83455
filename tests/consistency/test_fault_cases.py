"""What can go wrong is numbered and named; nothing of it is left without a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from services.failpoints import NAMES

ROOT = Path(__file__).parent.parent.parent
FAULTS = ROOT / "tests" / "faults"
SUPPLIER_CASES = range(1, 26)
NUMBERED = re.compile(r"test_supplier_(\d\d)_")


def trees(*folders: Path) -> list[ast.Module]:
    """Return every module of some folders."""
    return [ast.parse(file.read_text(encoding="utf-8")) for folder in folders for file in sorted(folder.rglob("*.py"))]


def supplier_tests() -> list[tuple[int, ast.FunctionDef]]:
    """Return the numbered tests of the supplier cases."""
    functions = [node for tree in trees(FAULTS) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = [(NUMBERED.match(function.name), function) for function in functions]
    return [(int(match[1]), function) for match, function in found if match is not None]


def failpoints_of_the_product() -> list[str]:
    """Return the names that the product passes to `failpoint`; fails for what is no name."""
    product = [*trees(ROOT / "services", ROOT / "blueprints"), *(trees_of_root())]
    names = []
    for node in (node for tree in product for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            (name,) = node.args
            assert isinstance(name, ast.Constant), ast.unparse(node)
            names.append(str(name.value))
    return names


def trees_of_root() -> list[ast.Module]:
    """Return the modules beside the folders."""
    return [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(ROOT.glob("*.py"))]


def test_every_supplier_case_is_tested() -> None:
    """Each number has a test, and each test says in a sentence what is guaranteed."""
    tests = supplier_tests()
    assert sorted({number for number, _test in tests}) == list(SUPPLIER_CASES)
    silent = [test.name for _number, test in tests if not (ast.get_docstring(test) or "").endswith(".")]
    assert silent == []


def test_every_failpoint_is_one_that_is_named_and_every_name_is_used() -> None:
    """What the tests kill a process at is a place in the product, and the other way round."""
    assert set(failpoints_of_the_product()) == set(NAMES)

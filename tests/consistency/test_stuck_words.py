"""Every reason for which an order can wait for a person has words, and no words are left over."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from models import FindingKind
from services.late_orders import NOTHING_BOUGHT, PATIENCE
from services.payments.disputes import HELD_BECAUSE
from services.stuck_words import FINDINGS, ORDERS

SERVICES = Path(__file__).parent.parent.parent / "services"
# Names that stand for a reason where an order is held, and what they can be there.
NAMED = {"HELD_BECAUSE": {HELD_BECAUSE}, "reason": {reason for _patience, reason in PATIENCE.values()}}
# Where a name is handed on to `move`, those who call are looked at instead.
HANDED_ON = {("fulfilment_ends.py", "hold")}


def reasons_of_holding() -> Iterator[tuple[str, ast.expr]]:
    """Yield (file and line, reason) for every place that holds an order or says that it is late."""
    for file in sorted(SERVICES.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            if (file.name, function.name) in HANDED_ON:
                continue
            for node in ast.walk(function):
                for reason in _reasons(node):
                    yield f"{file.name}:{node.lineno}", reason  # type: ignore[attr-defined]


def _reasons(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return _assigned(node)
    if not isinstance(node, ast.Call):
        return []
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called == "hold":
        return [node.args[2]]
    if called == "move" and "FulfilmentStatus.HELD" in ast.unparse(node):
        return [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
    return []


def _assigned(node: ast.Assign) -> list[ast.expr]:
    """Return what is assigned to `fulfilment.reason` beside a status that is HELD, or alone to one that is held."""
    targets, value = node.targets[0], node.value
    names = targets.elts if isinstance(targets, ast.Tuple) else [targets]
    values = value.elts if isinstance(value, ast.Tuple) else [value]
    if len(names) != len(values) or "fulfilment.reason" not in map(ast.unparse, names):
        return []
    pairs = dict(zip(map(ast.unparse, names), values, strict=True))
    status = pairs.get("fulfilment.status")
    if status is not None and "HELD" not in ast.unparse(status):
        return []
    waits = status is not None or len(pairs) == 1 or "fulfilment.late_at" in pairs
    return [pairs["fulfilment.reason"]] if waits else []


def possible(reason: ast.expr) -> set[str]:
    """Return the reasons that an expression can be; fails for one that this test does not know."""
    if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
        return {reason.value}
    if isinstance(reason, ast.BoolOp):
        # What the supplier is called while a late order keeps its reason (`fulfilment._release`).
        return set()
    return NAMED[ast.unparse(reason)]


def test_every_reason_has_words_and_all_words_a_reason() -> None:
    """A reason that is new without words fails, and so do words of a reason that is gone."""
    found = {place: possible(reason) for place, reason in reasons_of_holding()}
    assert len(found) >= 7, found
    reasons = {reason for few in found.values() for reason in few}
    # Late, held, and put back to work: `fulfilment_rows.put_back` takes the reason away.
    assert reasons | {""} == set(ORDERS)
    assert set(NOTHING_BOUGHT) <= set(ORDERS)


def test_every_finding_has_words() -> None:
    """Each says what has happened and what to do."""
    assert set(FINDINGS) == set(FindingKind)
    for words in (*ORDERS.values(), *FINDINGS.values()):
        assert words.reason.endswith(".")
        assert words.advice.endswith(".")

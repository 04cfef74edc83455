"""What `make lighthouse` makes of Lighthouse's reports."""

from __future__ import annotations

from typing import Any

from scripts.lighthouse.__main__ import Result, reasons, table
from scripts.lighthouse.runner import CATEGORIES, Run, read


def a_run(missed: str = "", points: int = 100, category: str = "seo") -> Run:
    """Return a run that is full of points, but for one category."""
    audits = {name: frozenset({missed} if missed and name == category else ()) for name in CATEGORIES}
    return Run({name: points if name == category else 100 for name in CATEGORIES}, audits)


def test_a_report_is_read() -> None:
    """Audits without weight or without a score cost nothing."""
    refs = [{"id": name, "weight": weight} for name, weight in (("a", 1), ("b", 0), ("c", 1), ("d", 1))]
    scores = {"a": 0.5, "b": 0, "c": 1, "d": None}
    report: dict[str, Any] = {
        "categories": {name: {"score": 0.63, "auditRefs": refs} for name in CATEGORIES},
        "audits": {name: {"score": score} for name, score in scores.items()},
    }
    assert read(report).points["seo"] == 63
    assert read(report).missed["seo"] == {"a"}


def test_the_median_counts_and_a_missing_point_needs_a_reason() -> None:
    lucky = Result("home", "en", [a_run(), a_run(), a_run("label", 90)])
    known = Result("checkout", "en", [a_run("is-crawlable", 63)] * 3)
    unknown = Result("home", "ar", [a_run("is-crawlable", 63)] * 3)
    assert reasons([lucky]) == ([""], 0)
    lines, unexcused = reasons([known, unknown])
    assert unexcused == 1
    assert "noindex on purpose" in lines[1]
    assert lines[2] == "home in ar, seo 63: is-crawlable: NO REASON GIVEN"
    assert "| checkout | en | 100 | 100 | 100 | 63 |" in table([known])


def test_a_known_reason_excuses_no_other_audit() -> None:
    both = Run({name: 50 for name in CATEGORIES}, {name: frozenset({"is-crawlable", "label"}) for name in CATEGORIES})
    assert reasons([Result("checkout", "en", [both])])[1] == len(CATEGORIES)

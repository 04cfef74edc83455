"""`make lighthouse`: medians of Lighthouse's mobile preset; fails for a point that is missing without a reason."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from scripts.lighthouse.reasons import reason_for
from scripts.lighthouse.runner import CATEGORIES, CannotRun, Run, prepare, run
from scripts.served import Address, ServedShop, served_shop
from services.languages import LANGUAGES

# As Lighthouse itself advises for what differs from run to run (docs/variability.md in its repository).
RUNS = 5
TRIES = 3
PAGES = ("home", "plans", "plan", "checkout", "renew", "order, delivered")
WANTED_LANGUAGES = ("en", "zh-hans", "ar")
FULL = 100


@dataclass(frozen=True)
class Result:
    """All runs on one page in one language."""

    page: str
    language: str
    runs: Sequence[Run]

    def points(self, category: str) -> int:
        """Return the median of a category."""
        return round(median(each.points[category] for each in self.runs))

    def missed(self, category: str) -> list[str]:
        """Return the audits that cost points in at least half of the runs."""
        all_missed = [audit for each in self.runs for audit in each.missed[category]]
        return sorted(audit for audit in set(all_missed) if all_missed.count(audit) * 2 >= len(self.runs))


def main() -> int:
    """Print the table and the reasons; return 1 for a median below 100 without one, 2 where Lighthouse cannot run."""
    options = _options()
    languages = [code for code in options.languages.split(",") if code in LANGUAGES]
    for code in sorted(set(options.languages.split(",")) - set(languages)):
        print(f"NOT MEASURED: the shop does not speak {code!r} (services/languages.py)", file=sys.stderr)
    try:
        prepare()
        with served_shop() as shop:
            pages = [page for page in shop.pages if page.name in options.pages.split(";")]
            results = [measure(shop, page, code, options.runs) for page in pages for code in languages]
    except CannotRun as error:
        print(f"NOT MEASURED: {error}", file=sys.stderr)
        return 2
    print(table(results))
    lines, unexcused = reasons(results)
    print("\n".join(lines))
    return 1 if unexcused else 0


def measure(shop: ServedShop, page: Address, code: str, runs: int) -> Result:
    """Let Lighthouse look at one page `runs` times; raises CannotRun."""
    headers = {"Cookie": shop.cookie} if page.mine else {}
    found = [patient_run(f"{shop.url}/{code}/{page.path}", headers) for _ in range(runs)]
    result = Result(page.name, code, found)
    # As it comes: the whole takes a quarter of an hour.
    print(_line(result), file=sys.stderr, flush=True)
    return result


def patient_run(url: str, headers: Mapping[str, str]) -> Run:
    """Run Lighthouse, up to three times when it fails: now and then Chromium gives it no trace. Raises CannotRun."""
    for _ in range(TRIES - 1):
        with suppress(CannotRun):
            return run(url, headers)
    return run(url, headers)


def table(results: Sequence[Result]) -> str:
    """Return the medians as a table in Markdown."""
    lines = [
        "| page | language | performance | accessibility | best practices | SEO |",
        "| --- | --- |" + " ---: |" * 4,
    ]
    return "\n".join([*lines, *map(_line, results)])


def _line(result: Result) -> str:
    points = " | ".join(str(result.points(category)) for category in CATEGORIES)
    return f"| {result.page} | {result.language} | {points} |"


def reasons(results: Sequence[Result]) -> tuple[list[str], int]:
    """Return a line for every median below 100, and how many of them nobody has excused."""
    lines, unexcused = [""], 0
    for each in results:
        for category in CATEGORIES:
            if each.points(category) >= FULL:
                continue
            audits = each.missed(category)
            known = {audit: reason_for(each.page, audit) for audit in audits}
            excused = bool(known) and all(known.values())
            unexcused += not excused
            why = "; ".join(f"{audit}: {reason or 'NO REASON GIVEN'}" for audit, reason in known.items())
            lines.append(
                f"{each.page} in {each.language}, {category} {each.points(category)}: {why or 'NO REASON GIVEN'}"
            )
    return lines, unexcused


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make lighthouse", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs for each page ({RUNS})")
    parser.add_argument("--pages", default=";".join(PAGES), help='names with ";" between them')
    parser.add_argument("--languages", default=",".join(WANTED_LANGUAGES), help='codes with "," between them')
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

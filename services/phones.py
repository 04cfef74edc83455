"""Which phones and tablets take an eSIM: a list of facts with their sources, and a search in it.

The list never says no. What is not on it may take an eSIM just as well, and what is on it may not, where it was made
for a country that its traps name; the phone's own answer to *#06# counts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "phones.json"
MOST_FOUND = 8
# No phone has a longer name; what comes after is not looked at.
LONGEST_QUERY = 60
# A name is found from the beginning of each of its words, and of a number inside a word: "23 ultra" finds "S23 Ultra".
_WORD = re.compile(r"\d+[^\W\d_]*|[^\W\d_]+")
# Brackets around a part of a name, and whatever else is neither letter nor digit, part words; so does the change from
# one script to another, as in a maker's Chinese name before a number.
_BREAK = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[^\W_a-z0-9])|(?<=[^\W_a-z0-9])(?=[a-z0-9])")


class TrapEffect(StrEnum):
    """What is different about some of the phones of one name."""

    NONE = "none"
    TWO_CARDS = "two-cards"
    SOME = "some"
    ONLY = "only"
    OWN_OPERATORS = "own-operators"
    CELLULAR = "cellular"
    FI = "fi"


@dataclass(frozen=True)
class Trap:
    """An effect and the countries of purchase it is known from (ISO 3166 alpha-2); none means everywhere."""

    effect: TrapEffect
    places: tuple[str, ...]


@dataclass(frozen=True)
class Phone:
    """One model that takes an eSIM: on sale since the year `since`; `listed` is when `source` was last looked at."""

    maker: str
    name: str
    since: int
    traps: tuple[Trap, ...]
    source: str
    listed: date

    @property
    def limited(self) -> bool:
        """Return whether its eSIM does not take a plan of this shop."""
        return any(trap.effect is TrapEffect.FI for trap in self.traps)

    @property
    def full_name(self) -> str:
        """Return the name with its maker, who is not named twice."""
        return self.name if self.name.casefold().startswith(self.maker.casefold()) else f"{self.maker} {self.name}"


@dataclass(frozen=True)
class Found:
    """The best phones for a query, and how many there were before the rest was left out."""

    phones: tuple[Phone, ...]
    total: int


@dataclass(frozen=True)
class _Entry:
    phone: Phone
    names: frozenset[str]
    # Every name from each of its words to its end, without spaces.
    tails: tuple[str, ...]


def search(query: str, most: int = MOST_FOUND) -> Found:
    """Return the phones whose name a person may mean, the likeliest first; none for a query without letters or digits.

    Case, accents, spaces, hyphens and "+" or "plus" make no difference, and words may come in any order.
    """
    words = _words(query[:LONGEST_QUERY])
    if not words:
        return Found((), 0)
    ranked = [(rank, -entry.phone.since, entry.phone) for entry in _entries() if (rank := _rank(entry, words)) < 3]
    # The order of the list decides between models of one year.
    ranked.sort(key=lambda found: found[:2])
    return Found(tuple(phone for _rank, _year, phone in ranked[:most]), len(ranked))


def all_phones() -> tuple[Phone, ...]:
    """Return the whole list, as it stands in the file."""
    return tuple(entry.phone for entry in _entries())


def _rank(entry: _Entry, words: Sequence[str]) -> int:
    """Return 0 for a name in full, 1 for a part of it as it is written, 2 for its words, 3 for something else."""
    whole = "".join(words)
    if whole in entry.names:
        return 0
    if any(tail.startswith(whole) for tail in entry.tails):
        return 1
    return 2 if all(any(tail.startswith(word) for tail in entry.tails) for word in words) else 3


def _words(text: str) -> list[str]:
    """Return the words of a text in one way of writing: lower case, no accents, "+" as a word."""
    plain = unicodedata.normalize("NFKD", text.casefold()).replace("+", " plus ")
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return [word for word in _BREAK.split(letters) if word]


@cache
def _entries() -> tuple[_Entry, ...]:
    groups = json.loads(DATA.read_text(encoding="utf-8"))["groups"]
    return tuple(entry for group in groups for entry in _group(group))


def _group(group: dict[str, Any]) -> Iterator[_Entry]:
    for model in group["models"]:
        traps = model.get("traps", group["traps"])
        phone = Phone(
            maker=group["maker"],
            name=model["name"],
            since=model["since"],
            traps=tuple(Trap(TrapEffect(trap["effect"]), tuple(trap["places"])) for trap in traps),
            source=group["source"],
            listed=date.fromisoformat(group["listed"]),
        )
        makers = ["".join(_words(maker)) for maker in (group["maker"], *group["also"])]
        names = [_words(name) for name in (model["name"], *model.get("also", ()))]
        # A name that begins with its maker's is known without it, too: Xiaomi 14 is the 14 of Xiaomi.
        names += [words[1:] for words in names if words[0] == makers[0]]
        full = [[maker, *words] for maker in makers for words in names]
        short = [words[start:] for words in names for start in (0, 1)]
        yield _Entry(
            phone=phone,
            names=frozenset("".join(words) for words in (*full, *short) if words),
            tails=tuple({tail for words in full for tail in _tails(words)}),
        )


def _tails(words: Sequence[str]) -> Iterator[str]:
    whole, start = "".join(words), 0
    for word in words:
        yield from (whole[start + part.start() :] for part in _WORD.finditer(word))
        start += len(word)

"""Names of countries in the languages of the shop (CLDR by way of Babel)."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from unicodedata import combining, normalize

from babel.core import Locale
from babel.lists import format_list


@lru_cache(maxsize=1024)
def country_name(code: str, locale: str) -> str:
    """Return the name of a country (ISO 3166 alpha-2) in `locale`; the code itself when CLDR has none."""
    return str(Locale.parse(locale).territories.get(code, code))


def by_name(codes: Collection[str], locale: str) -> list[str]:
    """Return countries in the order of their names, letters with accents beside those without.

    Good for alphabets; Chinese names come in the order of their characters in Unicode, which is by radical and stroke.
    """
    return sorted(codes, key=lambda code: (_bare(country_name(code, locale)), code))


def _bare(name: str) -> str:
    """Return a name without its accents (Unicode Standard Annex 15, decomposition), in lower case."""
    return "".join(letter for letter in normalize("NFKD", name) if not combining(letter)).casefold()


@lru_cache(maxsize=256)
def join_names(names: tuple[str, ...], locale: str) -> str:
    """Return the names as one list, the way `locale` writes "A, B and C"."""
    return format_list(names, locale=locale)

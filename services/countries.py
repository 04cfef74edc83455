"""Names of countries in the languages of the shop (CLDR by way of Babel)."""

from __future__ import annotations

from functools import lru_cache

from babel.core import Locale
from babel.lists import format_list


@lru_cache(maxsize=1024)
def country_name(code: str, locale: str) -> str:
    """Return the name of a country (ISO 3166 alpha-2) in `locale`; the code itself when CLDR has none."""
    return str(Locale.parse(locale).territories.get(code, code))


@lru_cache(maxsize=256)
def join_names(names: tuple[str, ...], locale: str) -> str:
    """Return the names as one list, the way `locale` writes "A, B and C"."""
    return format_list(names, locale=locale)

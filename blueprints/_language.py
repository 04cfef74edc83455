"""The language of a request: from its address, and for addresses without one from what was chosen or is asked for."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, has_request_context, request
from werkzeug.routing import BaseConverter

from services.languages import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    Language,
    best_language,
    suggested_currency,
    visitor_locale,
)
from services.money import CURRENCIES

# The code of the language that was chosen in this browser (_language_choice.py).
COOKIE = "language"


class LanguageConverter(BaseConverter):
    """Matches the languages of the shop and nothing else, so that other addresses stay free."""

    regex = "|".join(sorted(LANGUAGES, key=len, reverse=True))
    part_isolating = True


def select_locale() -> str:
    """Return the Babel locale for the request, as the visitor's browser has it, or the default outside of one."""
    language = current_language()
    if not has_request_context():
        return language.locale
    return visitor_locale(language.code, request.headers.get("Accept-Language", ""))


def first_currency() -> str:
    """Return the currency that prices are shown in as long as the visitor has chosen none."""
    return suggested_currency(current_language().code, select_locale(), CURRENCIES)


def chosen_language() -> Language | None:
    """Return the language that was last chosen in this browser; None when none was."""
    return LANGUAGES.get(request.cookies.get(COOKIE, ""))


def current_language() -> Language:
    """Return the language that pages of this request are written in."""
    if not has_request_context():
        return LANGUAGES[DEFAULT_LANGUAGE]
    language: Language | None = g.get("language")
    if language is None:
        # An address that leads nowhere still says which language its visitor reads.
        named = LANGUAGES.get(request.path.split("/")[1])
        language = g.language = named or chosen_language() or best_language(request.accept_languages)
    return language


def prepare_language(app: Flask) -> None:
    """Take the language out of every address and put it into every address that is built."""

    @app.url_value_preprocessor
    def take(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        code = (values or {}).pop("lang", None)
        if code is not None:
            g.language = LANGUAGES[code]

    @app.url_defaults
    def give(endpoint: str, values: dict[str, Any]) -> None:
        if "lang" not in values and app.url_map.is_endpoint_expecting(endpoint, "lang"):
            values["lang"] = current_language().code

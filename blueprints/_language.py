"""The language of a request: from its address, and for addresses without one from what the browser asks for."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, has_request_context, request
from werkzeug.routing import BaseConverter

from services.languages import DEFAULT_LANGUAGE, LANGUAGES, Language, best_language


class LanguageConverter(BaseConverter):
    """Matches the languages of the shop and nothing else, so that other addresses stay free."""

    regex = "|".join(sorted(LANGUAGES, key=len, reverse=True))
    part_isolating = True


def select_locale() -> str:
    """Return the Babel locale for the request, or the default outside of one."""
    return current_language().locale


def current_language() -> Language:
    """Return the language that pages of this request are written in."""
    if not has_request_context():
        return LANGUAGES[DEFAULT_LANGUAGE]
    language: Language | None = g.get("language")
    if language is None:
        # An address that leads nowhere still says which language its visitor reads.
        named = LANGUAGES.get(request.path.split("/")[1])
        language = g.language = named or best_language(request.accept_languages)
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

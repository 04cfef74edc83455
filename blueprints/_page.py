"""What every page asks about itself: its address in the other languages, the chosen currency, names of countries."""

from __future__ import annotations

from collections.abc import Collection
from email.utils import parseaddr

from flask import Flask, request, url_for
from flask_login import current_user

from blueprints._language import current_language
from blueprints._page_cache import is_public_page
from blueprints._static import inline_stylesheet
from config import Settings
from services.countries import by_name, country_name, join_names
from services.devices import Device, recognise
from services.languages import LANGUAGES, Language
from services.money import CURRENCIES

FEW_COUNTRIES = 4


def prepare_page(app: Flask, settings: Settings) -> None:
    """Give the templates what they ask about a page."""
    app.jinja_env.globals.update(
        chosen_currency=chosen_currency,
        country_list=_country_list,
        country_name=_country_name,
        current_language=current_language,
        current_user=current_user,
        is_public_page=is_public_page,
        language_links=language_links,
        language_name=_language_name,
        language_names=_language_names,
        reading_device=reading_device,
        stylesheet=inline_stylesheet(),
        support_email=parseaddr(settings.smtp.mail_from)[1],
    )


def language_links() -> list[tuple[Language, str]]:
    """Return every language with the address of this page in it, question mark and all.

    A page that cannot be asked for again with GET (an error, the answer to a form) leads to the start page.
    """
    rule = request.url_rule
    again = rule is not None and "lang" in rule.arguments and "GET" in (rule.methods or ())
    endpoint = rule.endpoint if rule is not None and again else "catalogue.home"
    values = (request.view_args or {}) if again else {}
    query = request.query_string.decode("ascii", "ignore") if again and request.method in ("GET", "HEAD") else ""
    links = []
    for language in LANGUAGES.values():
        address = url_for(endpoint, **{**values, "lang": language.code})
        links.append((language, f"{address}?{query}" if query else address))
    return links


def chosen_currency() -> str | None:
    """Return the currency that the address names, for carrying it along in links; None when it names none."""
    currency = request.args.get("currency")
    return currency if currency in CURRENCIES else None


def reading_device() -> Device:
    """Return the device that the page is read on; only for personal pages, a public one is the same for everybody."""
    return recognise(request.headers.get("User-Agent", ""))


def _language_name(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else code


def _language_names() -> str:
    names = tuple(language.name for language in LANGUAGES.values())
    return join_names(names, current_language().locale)


def _country_name(code: str) -> str:
    return country_name(code, current_language().locale)


def _country_list(codes: Collection[str]) -> str:
    locale = current_language().locale
    # A few stand in the order that the plan gives them; in many, a reader looks for one.
    ordered = by_name(codes, locale) if len(codes) > FEW_COUNTRIES else codes
    return join_names(tuple(country_name(code, locale) for code in ordered), locale)

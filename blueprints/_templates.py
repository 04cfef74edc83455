"""What every template may use: translations kept ready, addresses, and the formats of `services.money`."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.core import Locale
from babel.support import NullTranslations, Translations
from flask import Flask, has_request_context, request, url_for
from flask_babel import get_locale
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from blueprints._language import current_language
from config import Settings
from services import money
from services.languages import DEFAULT_LANGUAGE, LANGUAGES, Language

MOST_ADDRESSES = 4096


class _Texts:
    """The catalogue of one locale; a text is looked up once and then kept as it stands in a page."""

    def __init__(self, locale: str, catalogue: NullTranslations, ready: dict[str, Markup]) -> None:
        self.locale = locale
        self.catalogue = catalogue
        self._ready = ready

    def ready(self, message: str) -> Markup:
        """Return a text without variables."""
        text = self._ready.get(message)
        if text is None:
            text = self._ready[message] = Markup(self.catalogue.gettext(message)) % {}  # noqa: S704 - our own texts
        return text


_TEXTS: dict[Locale, _Texts] = {}
_UNTRANSLATED = _Texts("en", NullTranslations(), {})


def prepare_templates(app: Flask, settings: Settings) -> None:
    """Install filters, globals and translations; warms what is slow the first time."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    # Jinja's own wrapping and Flask-Babel's lookup at every call cost more than all else on a page.
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals.update({"_": _gettext, "gettext": _gettext, "ngettext": _ngettext, "url_for": _url_for})
    environment.filters.update(money=_money, data=_data, moment=_moment, day=_day, number=_number, share=_share)
    environment.filters.update(duration=_duration, age=_age, date=_date)
    environment.globals.update(languages=LANGUAGES, sandbox_url=settings.sandbox_url, shop_url=settings.shop_url)

    def make_globals(d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        # Jinja's ChainMap is walked for every page and every imported macro; a plain copy is read many times faster.
        return {**environment.globals, **(d or {})}

    environment.make_globals = make_globals  # type: ignore[method-assign]
    for language in LANGUAGES.values():
        _load(Path(app.root_path) / "translations", language)
        for currency in money.CURRENCIES:
            money.format_money(100, currency, language.locale)


def _load(directory: Path, language: Language) -> None:
    """Read the catalogue of a language for all its locales: they differ in formats, not in words."""
    catalogue = NullTranslations()
    if language.code != DEFAULT_LANGUAGE:
        file = directory / language.locale / "LC_MESSAGES" / "messages.mo"
        if not file.exists():
            raise RuntimeError(f"no compiled catalogue for {language.locale}: run `make i18n`")
        with file.open("rb") as stream:
            catalogue = Translations(stream)
    ready: dict[str, Markup] = {}
    for locale in language.locales:
        _TEXTS[Locale.parse(locale)] = _Texts(locale, catalogue, ready)


def _texts() -> _Texts:
    locale = get_locale()
    return _TEXTS[locale] if locale is not None else _UNTRANSLATED


@pass_eval_context
def _gettext(context: EvalContext, message: str, /, **variables: object) -> str:
    texts = _texts()
    if context.autoescape and not variables:
        return texts.ready(message)
    return _filled(context, texts.catalogue.gettext(message), variables)


@pass_eval_context
def _ngettext(context: EvalContext, singular: str, plural: str, number: int, /, **variables: object) -> str:
    return _filled(context, _texts().catalogue.ngettext(singular, plural, number), {"num": number, **variables})


def _filled(context: EvalContext, text: str, variables: dict[str, object]) -> str:
    """Return a text with its variables, which are escaped where the template is."""
    return (Markup(text) if context.autoescape else text) % variables  # noqa: S704 - our own texts


def _url_for(endpoint: str, /, **values: Any) -> str:
    """Return an address within the shop; the same as Flask's, which works it out from its rules each time."""
    if not has_request_context():
        return url_for(endpoint, **values)
    return _address(request.script_root, current_language().code, endpoint, **values)


@lru_cache(maxsize=MOST_ADDRESSES)
def _address(_script_root: str, _language: str, endpoint: str, **values: Any) -> str:
    # The two arguments that are not used are what the address depends on besides endpoint and values.
    return url_for(endpoint, **values)


def _money(amount_minor: int, currency: str) -> str:
    return money.format_money(amount_minor, currency, _texts().locale)


def _data(size: int) -> str:
    return money.format_data(size, _texts().locale)


def _moment(moment: datetime) -> str:
    return money.format_moment(moment, _texts().locale)


def _day(moment: datetime) -> str:
    return money.format_day(moment, _texts().locale)


def _date(day: date) -> str:
    return money.format_date(day, _texts().locale)


def _number(value: int) -> str:
    return money.format_number(value, _texts().locale)


def _share(value: float) -> str:
    return money.format_share(value, _texts().locale)


def _duration(duration: timedelta) -> str:
    return money.format_duration(duration, _texts().locale)


def _age(age: timedelta) -> str:
    return money.format_age(age, _texts().locale)

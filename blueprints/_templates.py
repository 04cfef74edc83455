"""What every template may use: translations bound once per request, and the formats of `services.money`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from babel.core import Locale
from babel.support import NullTranslations, Translations
from flask import Flask
from flask_babel import get_locale

from config import Settings
from services import money
from services.languages import LANGUAGES

_CATALOGUES: dict[Locale, NullTranslations] = {}


def prepare_templates(app: Flask, settings: Settings) -> None:
    """Install filters, globals and translations; warms what is slow the first time."""
    environment = app.jinja_env
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    # Flask-Babel's own callables look the catalogue up at every call, which costs more than all else on a page.
    environment.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(money=_money, data=_data, moment=_moment, day=_day, number=_number, share=_share)
    environment.filters.update(duration=_duration, age=_age)
    environment.globals.update(languages=LANGUAGES, sandbox_url=settings.sandbox_url, shop_url=settings.shop_url)
    for language in LANGUAGES.values():
        _load(Path(app.root_path) / "translations", Locale.parse(language.locale))
        for currency in money.CURRENCIES:
            money.format_money(100, currency, language.locale)


def _load(directory: Path, locale: Locale) -> None:
    if locale.language == "en":
        _CATALOGUES[locale] = NullTranslations()
        return
    file = directory / str(locale) / "LC_MESSAGES" / "messages.mo"
    if not file.exists():
        raise RuntimeError(f"no compiled catalogue for {locale}: run `make i18n`")
    with file.open("rb") as stream:
        _CATALOGUES[locale] = Translations(stream)


def _catalogue() -> NullTranslations:
    locale = get_locale()
    return _CATALOGUES[locale] if locale is not None else NullTranslations()


def _gettext(message: str) -> str:
    return _catalogue().gettext(message)


def _ngettext(singular: str, plural: str, number: int) -> str:
    return _catalogue().ngettext(singular, plural, number)


def _locale() -> str:
    return str(get_locale())


def _money(amount_minor: int, currency: str) -> str:
    return money.format_money(amount_minor, currency, _locale())


def _data(size: int) -> str:
    return money.format_data(size, _locale())


def _moment(moment: datetime) -> str:
    return money.format_moment(moment, _locale())


def _day(moment: datetime) -> str:
    return money.format_day(moment, _locale())


def _number(value: int) -> str:
    return money.format_number(value, _locale())


def _share(value: float) -> str:
    return money.format_share(value, _locale())


def _duration(duration: timedelta) -> str:
    return money.format_duration(duration, _locale())


def _age(age: timedelta) -> str:
    return money.format_age(age, _locale())

"""The languages of the shop: one line each, the only list to extend for another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from babel.numbers import get_territory_currencies
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header


@dataclass(frozen=True)
class Language:
    """A language as it stands in an address (`code`), in Babel (`locale`) and at Stripe (`stripe_locale`)."""

    code: str
    locale: str
    html: str
    name: str
    direction: str
    stripe_locale: str
    currency: str
    # Gigabytes and megabytes as phones and operators print them; CLDR has no short form in several languages.
    data_units: tuple[str, str] = ("GB", "MB")
    # Territories (ISO 3166) whose habits are followed where a browser names them; a public page is kept once for each.
    territories: tuple[str, ...] = ()
    # How gettext counts, where Babel's table for it is not what CLDR says.
    plural_forms: str = ""

    @property
    def locales(self) -> tuple[str, ...]:
        """Return the locales of Babel in which pages of the language are formatted, its own first."""
        return (self.locale, *(f"{self.locale}_{territory}" for territory in self.territories))


_UP_TO_ONE = "nplurals=2; plural=(n > 1);"
_ENGLISH = ("AE", "AU", "CA", "CH", "GB", "IE", "IN", "SG", "US")
# Stripe Checkout has no Arabic; `auto` lets it choose from the browser (stripe.checkout.Session, parameter `locale`).
LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (
        Language("en", "en", "en", "English", "ltr", "en", "EUR", territories=_ENGLISH),
        Language("fr", "fr", "fr", "Français", "ltr", "fr", "EUR", ("Go", "Mo"), ("BE", "CA", "CH")),
        Language("it", "it", "it", "Italiano", "ltr", "it", "EUR", territories=("CH",)),
        Language("de", "de", "de", "Deutsch", "ltr", "de", "EUR", territories=("AT", "CH")),
        Language("es", "es", "es", "Español", "ltr", "es", "EUR", territories=("MX", "US")),
        Language("pt", "pt", "pt", "Português", "ltr", "pt", "EUR", territories=("PT",), plural_forms=_UP_TO_ONE),
        Language("ru", "ru", "ru", "Русский", "ltr", "ru", "EUR", ("ГБ", "МБ")),
        Language("zh-hans", "zh_Hans", "zh-Hans", "简体中文", "ltr", "zh", "CNY"),
        Language("zh-hant", "zh_Hant", "zh-Hant", "繁體中文", "ltr", "zh-TW", "USD"),
        Language("ja", "ja", "ja", "日本語", "ltr", "ja", "JPY"),
        Language("ko", "ko", "ko", "한국어", "ltr", "ko", "USD"),
        Language("ar", "ar", "ar", "العربية", "rtl", "auto", "AED", ("غيغابايت", "ميغابايت"), ("AE", "EG", "SA")),
    )
}
DEFAULT_LANGUAGE = "en"
LONGEST_HEADER = 256

# What browsers send is wider than what addresses hold: scripts and regions of Chinese, mostly.
_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("zh", "zh-cn", "zh-sg", "zh-my"), "zh-hans"),
    **dict.fromkeys(("zh-tw", "zh-hk", "zh-mo"), "zh-hant"),
}


_DATA_UNITS: Mapping[str, tuple[str, str]] = {language.locale: language.data_units for language in LANGUAGES.values()}


def data_units(locale: str) -> tuple[str, str]:
    """Return what gigabytes and megabytes are called in `locale`, a locale of Babel, with or without a territory."""
    return _DATA_UNITS.get(locale) or _DATA_UNITS[locale.rpartition("_")[0] or DEFAULT_LANGUAGE]


def get_language(code: str) -> Language:
    """Return the language of an address; raises KeyError for one the shop does not speak."""
    return LANGUAGES[code]


def best_language(accepted: LanguageAccept) -> Language:
    """Return the language that fits an Accept-Language header best, English when none does."""
    for tag, _quality in accepted:
        language = _language_of(tag)
        if language is not None:
            return language
    return LANGUAGES[DEFAULT_LANGUAGE]


def visitor_locale(code: str, header: str) -> str:
    """Return the locale of Babel in which a page is formatted for the sender of an Accept-Language header.

    What the browser says first about that very language counts: `de-CH` has German pages written the Swiss way.
    Of a header longer than any browser's, only the beginning counts. Raises KeyError for a language the shop does not
    speak.
    """
    return _visitor_locale(code, header[:LONGEST_HEADER])


@lru_cache(maxsize=1024)
def _visitor_locale(code: str, header: str) -> str:
    language = LANGUAGES[code]
    for tag, _quality in parse_accept_header(header, LanguageAccept):
        if _language_of(tag) is language:
            locale = f"{language.locale}_{tag.rpartition('-')[2].upper()}"
            return locale if locale in language.locales else language.locale
    return language.locale


@lru_cache(maxsize=256)
def suggested_currency(code: str, locale: str, offered: tuple[str, ...]) -> str:
    """Return the currency that prices are shown in first: that of the locale's territory, or of the language.

    Only one of the `offered` ones (ISO 4217) is suggested. Raises KeyError for a language the shop does not speak.
    """
    language = LANGUAGES[code]
    territory = locale.removeprefix(language.locale).removeprefix("_")
    own = get_territory_currencies(territory) if territory else []
    return next((currency for currency in own if currency in offered), language.currency)


def _language_of(tag: str) -> Language | None:
    """Return the language of the shop that a browser means by a tag (RFC 4647, section 3.4), None for any other."""
    candidate = tag.lower().replace("_", "-")
    while candidate:
        code = _ALIASES.get(candidate, candidate)
        if code in LANGUAGES:
            return LANGUAGES[code]
        candidate = candidate.rpartition("-")[0]
    return None

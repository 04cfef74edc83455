"""The languages of the shop: one line each, the only list to extend for another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug.datastructures import LanguageAccept


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


# Stripe Checkout has no Arabic; `auto` lets it choose from the browser (stripe.checkout.Session, parameter `locale`).
LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (
        Language("en", "en", "en", "English", "ltr", "en", "EUR"),
        Language("fr", "fr", "fr", "Français", "ltr", "fr", "EUR", ("Go", "Mo")),
        Language("it", "it", "it", "Italiano", "ltr", "it", "EUR"),
        Language("de", "de", "de", "Deutsch", "ltr", "de", "EUR"),
        Language("es", "es", "es", "Español", "ltr", "es", "EUR"),
        Language("pt", "pt", "pt", "Português", "ltr", "pt", "EUR"),
        Language("ru", "ru", "ru", "Русский", "ltr", "ru", "EUR", ("ГБ", "МБ")),
        Language("zh-hans", "zh_Hans", "zh-Hans", "简体中文", "ltr", "zh", "CNY"),
        Language("zh-hant", "zh_Hant", "zh-Hant", "繁體中文", "ltr", "zh-TW", "USD"),
        Language("ja", "ja", "ja", "日本語", "ltr", "ja", "JPY"),
        Language("ko", "ko", "ko", "한국어", "ltr", "ko", "USD"),
        Language("ar", "ar", "ar", "العربية", "rtl", "auto", "AED", ("غيغابايت", "ميغابايت")),
    )
}
DEFAULT_LANGUAGE = "en"

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
        candidate = tag.lower().replace("_", "-")
        while candidate:
            code = _ALIASES.get(candidate, candidate)
            if code in LANGUAGES:
                return LANGUAGES[code]
            candidate = candidate.rpartition("-")[0]
    return LANGUAGES[DEFAULT_LANGUAGE]

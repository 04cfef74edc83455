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


# Stripe Checkout has no Arabic; `auto` lets it choose from the browser (stripe.checkout.Session, parameter `locale`).
LANGUAGES: Mapping[str, Language] = {
    language.code: language
    for language in (
        Language("en", "en", "en", "English", "ltr", "en", "EUR"),
        Language("fr", "fr", "fr", "Français", "ltr", "fr", "EUR"),
        Language("zh-hans", "zh_Hans", "zh-Hans", "简体中文", "ltr", "zh", "CNY"),
        Language("ar", "ar", "ar", "العربية", "rtl", "auto", "AED"),
    )
}
DEFAULT_LANGUAGE = "en"

# What browsers send is wider than what addresses hold: scripts and regions of Chinese, mostly.
_ALIASES: Mapping[str, str] = {"zh": "zh-hans", "zh-cn": "zh-hans", "zh-sg": "zh-hans", "zh-my": "zh-hans"}


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

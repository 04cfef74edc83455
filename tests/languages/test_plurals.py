"""Every count in every language: each number takes the form that its language has for it (CLDR, plural rules)."""

from __future__ import annotations

import re

import pytest
from babel.core import Locale
from babel.messages.catalog import Message
from babel.support import Translations
from flask import Flask

from scripts.update_catalogues import TEMPLATE, TRANSLATIONS, read_catalogue
from services.languages import LANGUAGES, Language
from services.money import format_number
from tests.languages.reading import catalogue_of

NUMBERS = (0, 1, 2, 5, 11, 21, 100)
SPOKEN = [language for language in LANGUAGES.values() if language.code != "en"]
# Written by hand, where forms differ most: what the catalogues have to say whatever their rules are.
BY_HAND = {
    ("ru", "%(num)s country"): "0 стран|1 страна|2 страны|5 стран|11 стран|21 страна|100 стран",
    ("ru", "%(num)s plan"): "0 тарифов|1 тариф|2 тарифа|5 тарифов|11 тарифов|21 тариф|100 тарифов",
    ("ru", "%(num)s day"): "0 дней|1 день|2 дня|5 дней|11 дней|21 день|100 дней",
    ("ru", "Install within %(num)s day of buying"): (
        "Установить в течение 0 дней после покупки|Установить в течение 1 дня после покупки|"
        "Установить в течение 2 дней после покупки|Установить в течение 5 дней после покупки|"
        "Установить в течение 11 дней после покупки|Установить в течение 21 дня после покупки|"
        "Установить в течение 100 дней после покупки"
    ),
    ("ar", "%(num)s country"): "0 دولة|دولة واحدة|دولتان|5 دول|11 دولة|21 دولة|100 دولة",
    ("ar", "%(num)s plan"): "لا توجد باقات|باقة واحدة|باقتان|5 باقات|11 باقة|21 باقة|100 باقة",
    ("ar", "%(num)s day"): "0 يوم|يوم واحد|يومان|5 أيام|11 يومًا|21 يومًا|100 يوم",
    ("fr", "%(num)s day"): "0 jour|1 jour|2 jours|5 jours|11 jours|21 jours|100 jours",
    ("pt", "%(num)s day"): "0 dia|1 dia|2 dias|5 dias|11 dias|21 dias|100 dias",
    ("de", "%(num)s day"): "0 Tage|1 Tag|2 Tage|5 Tage|11 Tage|21 Tage|100 Tage",
    ("it", "%(num)s day"): "0 giorni|1 giorno|2 giorni|5 giorni|11 giorni|21 giorni|100 giorni",
    ("es", "%(num)s day"): "0 días|1 día|2 días|5 días|11 días|21 días|100 días",
    ("ja", "%(num)s day"): "0日間|1日間|2日間|5日間|11日間|21日間|100日間",
    ("ko", "%(num)s day"): "0일|1일|2일|5일|11일|21일|100일",
    ("zh-hans", "%(num)s day"): "0天|1天|2天|5天|11天|21天|100天",
    ("zh-hant", "%(num)s day"): "0天|1天|2天|5天|11天|21天|100天",
}


def counted() -> list[Message]:
    """Return every text of the source that counts something."""
    return [message for message in read_catalogue(TEMPLATE) if isinstance(message.id, (tuple, list))]


def said(language: Language, message: Message, number: int) -> str:
    """Return what a page says for a number, with its spaces as they are typed."""
    file = TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.mo"
    with file.open("rb") as stream:
        text = Translations(stream).ngettext(message.id[0], message.id[1], number)
    return (text % {"num": number}).replace("\u00a0", " ").replace("\u202f", " ")


def squeezed(text: str) -> str:
    """Return a text without spaces: some languages may or may not put one between number and unit."""
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("language", SPOKEN, ids=lambda language: language.code)
def test_numbers_share_a_form_exactly_when_they_are_of_one_kind(language: Language) -> None:
    """The catalogue's rule divides the numbers as CLDR does, up to 1,000."""
    file = TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.mo"
    with file.open("rb") as stream:
        rule = Translations(stream).plural
    kind = Locale.parse(language.locale).plural_form
    forms: dict[str, set[int]] = {}
    for number in range(1001):
        forms.setdefault(kind(number), set()).add(rule(number))
    assert all(len(indices) == 1 for indices in forms.values()), forms
    assert len({index for indices in forms.values() for index in indices}) == len(forms)


@pytest.mark.parametrize("language", SPOKEN, ids=lambda language: language.code)
def test_every_count_is_whole_in_every_form(language: Language) -> None:
    """A form names the number, unless it stands for one number only, and has no other placeholder than the source."""
    catalogue = catalogue_of(language)
    kind = Locale.parse(language.locale).plural_form
    faults = []
    for message in counted():
        found = catalogue.get(message.id[0])
        assert found is not None
        assert len(found.string or "") == catalogue.num_plurals
        for number in NUMBERS:
            text = said(language, message, number)
            alone = kind(number) in ("zero", "one", "two") and language.code in ("ar",)
            if str(number) not in text and not alone:
                faults.append(f"{number}: {text!r}")
            if re.search(r"%\(|%[sd]", text):
                faults.append(f"not filled in for {number}: {text!r}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("code", "source"), BY_HAND)
def test_counts_are_as_they_are_written_by_hand(code: str, source: str) -> None:
    message = next(message for message in counted() if message.id[0] == source)
    spoken = [squeezed(said(LANGUAGES[code], message, number)) for number in NUMBERS]
    assert spoken == [squeezed(text) for text in BY_HAND[code, source].split("|")]


def test_english_counts_one_and_many() -> None:
    for message in counted():
        one, many = message.id[0], message.id[1]
        assert one != many or "%(num)s" in one


@pytest.mark.parametrize("code", LANGUAGES)
def test_pages_say_it_with_the_right_form(app: Flask, code: str) -> None:
    """Through the templates, as pages do it: the number is written as the language writes it."""
    language = LANGUAGES[code]
    template = app.jinja_env.from_string('{{ ngettext("%(num)s day", "%(num)s days", number) }}')
    message = next(message for message in counted() if message.id[0] == "%(num)s day")
    with app.test_request_context(f"/{code}/"):
        for number in NUMBERS:
            wanted = f"{number} day{'s' * (number != 1)}" if code == "en" else said(language, message, number)
            assert template.render(number=number).replace("\u00a0", " ").replace("\u202f", " ") == wanted
            assert format_number(number, language.locale) in wanted or code == "ar"

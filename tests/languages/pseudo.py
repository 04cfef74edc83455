"""A language that nobody speaks: every text of the catalogues in strange letters, two fifths longer, and marked.

What stands on a page without marks did not come through the catalogues; what runs out of a page would do so in a real
language that is as long. The right-to-left one is written in Hebrew letters, which no language of the shop uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import flask_babel
import pytest
from babel.core import Locale
from babel.support import NullTranslations
from sqlalchemy import select

from blueprints import _templates
from models import PlanText
from services.catalogue import move_catalogue_version
from services.languages import LANGUAGES
from services.shop import Shop

OPEN, CLOSE = "⟦", "⟧"
LONGER = 1.4
# Placeholders, markup and entities stay as they are; so do `%%` and codes that people dial.
_KEPT = re.compile(r"%\(\w+\)[sd]|%%|<[^>]+>|&\w+;|\*#06#")
_ACCENTS = str.maketrans("aceghijklnorstuwyzACDEGIKLNORSTUYZ", "äçéğĥïĵķľñöŕšťüŵýžÄÇĎÉĞÏĶĽÑÖŔŠŤÜÝŽ")
_HEBREW = str.maketrans("abcdefghijklmnopqrstuvwxyz", "אבגדהופגחיטכלמנספצקרשתובחוז"[:26])


class PseudoTranslations(NullTranslations):
    """Answers with the source's texts, disguised."""

    def __init__(self, right_to_left: bool) -> None:
        super().__init__()
        self._right_to_left = right_to_left

    def gettext(self, message: str) -> str:
        """Return a text in the pseudo-language."""
        return disguise(message, self._right_to_left) if message else ""

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return a text for a number in the pseudo-language, which counts like English."""
        return self.gettext(msgid1 if n == 1 else msgid2)

    # What Flask-Babel asks for.
    ugettext = gettext
    ungettext = ngettext


def disguise(text: str, right_to_left: bool = False) -> str:
    """Return a text in strange letters, LONGER times as long, in marks."""
    parts, added = [], 0
    place = 0
    for kept in [*_KEPT.finditer(text), None]:
        words = text[place : kept.start() if kept else len(text)]
        parts.append(_letters(words, right_to_left))
        added += len(words)
        if kept:
            parts.append(kept[0])
            place = kept.end()
    filler = _letters("lorem ipsum dolor sit amet consectetur adipisci elit sed eiusmod ", right_to_left)
    wanted = round(added * (LONGER - 1))
    tail = (filler * (wanted // len(filler) + 1))[:wanted].strip()
    return f"{OPEN}{''.join(parts)}{' ' + tail if tail else ''}{CLOSE}"


def _letters(text: str, right_to_left: bool) -> str:
    return text.lower().translate(_HEBREW) if right_to_left else text.translate(_ACCENTS)


def outside_marks(text: str) -> str:
    """Return what of a text did not come through the catalogues; marks may stand inside marks."""
    depth, found = 0, []
    for character in text:
        depth += {OPEN: 1, CLOSE: -1}.get(character, 0)
        if depth == 0 and character != CLOSE:
            found.append(character)
    return "".join(found)


@contextmanager
def spoken(code: str, shop: Shop) -> Iterator[None]:
    """Let the shop speak the pseudo-language wherever it speaks one of its own; plans have such names, too."""
    language = LANGUAGES[code]
    texts = PseudoTranslations(language.direction == "rtl")
    with shop.transaction() as session:
        for row in session.scalars(select(PlanText).where(PlanText.language == code)):
            row.name, row.description = texts.gettext(row.name), texts.gettext(row.description)
        move_catalogue_version(session)
    with pytest.MonkeyPatch.context() as patch:
        for locale in language.locales:
            patch.setitem(_templates._TEXTS, Locale.parse(locale), _templates._Texts(locale, texts, {}))
        patch.setattr(flask_babel.Domain, "get_translations", lambda _domain: texts)
        yield

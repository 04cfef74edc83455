"""What a reader of a language finds wrong with a page or a mail: English that was left, marks that were not filled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from babel.messages.catalog import Catalog
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from scripts.update_catalogues import TEMPLATE, TRANSLATIONS, read_catalogue
from services.languages import DEFAULT_LANGUAGE, Language

# What gettext, Jinja and str.format leave behind when nothing fills them in.
LEFT_OVER = re.compile(r"%\(\w*\)?|%[sd]\b|\{\{|\}\}|\{%|\{\w*\}|\bUndefined\b|\bNone\b")
_PLACEHOLDER = re.compile(r"%\\?\(\w+\\?\)s")
_READ_ALOUD = ("alt", "aria-label", "title", "placeholder", "label")


def faults_of_page(soup: BeautifulSoup, language: Language) -> list[str]:
    """Return what is wrong with a whole page in a language."""
    root = soup.select("html")[0]
    faults = []
    if (root.get("lang"), root.get("dir")) != (language.html, language.direction):
        faults.append(f"lang={root.get('lang')} dir={root.get('dir')}")
    return faults + faults_of_texts(texts_of(soup, language), language)


def faults_of_texts(texts: Iterable[str], language: Language) -> list[str]:
    """Return what was left of the source in texts that a reader is shown."""
    faults = []
    for text in sorted(set(texts)):
        if LEFT_OVER.search(text):
            faults.append(f"not filled in: {text!r}")
        if language.code != DEFAULT_LANGUAGE and _is_english(text, language.locale):
            faults.append(f"not translated: {text!r}")
    return faults


def texts_of(soup: BeautifulSoup, language: Language) -> Iterator[str]:
    """Yield every text of a page that is in its language: words, and what is read aloud or shown elsewhere for them."""
    for node in soup.find_all(string=True):
        hidden = isinstance(node, PreformattedString) or node.find_parent(["script", "style"])
        if not hidden and _speaks(node, language):
            yield " ".join(str(node).split())
    for tag in soup.find_all(True):
        if _speaks(tag, language):
            yield from (" ".join(str(tag[name]).split()) for name in _READ_ALOUD if tag.get(name))
    for tag in soup.select('meta[name="description"], meta[property^="og:"]'):
        if tag.get("property") not in ("og:url", "og:image", "og:type", "og:locale"):
            yield " ".join(str(tag.get("content", "")).split())


def _speaks(node: NavigableString | Tag, language: Language) -> bool:
    """Return whether a place in a page is in the language of the page: brand and names of languages say otherwise."""
    place = node if isinstance(node, Tag) and node.get("lang") else node.find_parent(attrs={"lang": True})
    return place is None or str(place["lang"]) == language.html


@cache
def _is_english(text: str, locale: str) -> bool:
    exact, patterns = _english(locale)
    return text in exact or bool(patterns.fullmatch(text))


@cache
def _english(locale: str) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the source's texts that read differently in a language: as they stand, and with anything filled in."""
    catalogue = read_catalogue(TRANSLATIONS / locale / "LC_MESSAGES" / "messages.po", locale)
    own = {form for message in catalogue if message.id for form in _forms(message.string)}
    exact, patterns = set(), []
    for message in read_catalogue(TEMPLATE):
        for source in _forms(message.id) if message.id else ():
            squeezed = " ".join(source.split())
            if source in own or not re.search(r"[A-Za-z]{3}", _PLACEHOLDER.sub("", source)):
                continue
            if _PLACEHOLDER.search(squeezed):
                patterns.append(_PLACEHOLDER.sub(".+", re.escape(squeezed.replace("%%", "%"))))
            else:
                exact.add(squeezed)
    return frozenset(exact), re.compile("|".join(patterns) or "(?!)")


def _forms(text: object) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, (tuple, list)) else (str(text),)


def catalogue_of(language: Language) -> Catalog:
    """Return the committed catalogue of a language; English is the source and has none."""
    return read_catalogue(TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.po", language.locale)

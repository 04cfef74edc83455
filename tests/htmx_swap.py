"""What htmx 4 would make of the open page, so that a test can compare it with a fresh load of the same address."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import PageElement

from tests.page_client import Page
from tests.page_rules import parse

_REQUESTS = ("hx-get", "hx-post")
# Of one request each, and of the swap itself; nothing that a visitor sees.
_IGNORED = ("hx-swap-oob",)


def apply_swap(page: Page, element: str, answer: Page) -> BeautifulSoup:
    """Return the page after `element` (a CSS selector) asked with htmx and got `answer`.

    Fails when the element does not ask for the answer's address, or when what is to be replaced is not there.
    """
    # A copy of the tree itself would lose doctype and head.
    soup = parse(str(page.soup))
    asking = soup.select(element)
    assert len(asking) == 1, f"{len(asking)} elements for {element}"
    _check_address(asking[0], page, answer)
    body = BeautifulSoup(answer.response.text, "html5lib").body
    assert body is not None
    for title in BeautifulSoup(answer.response.text, "html5lib").select("head > title"):
        soup.select("title")[0].replace_with(title.extract())
    for part in body.select("[hx-swap-oob]"):
        _replace(soup, soup.select(f'[id="{part["id"]}"]'), [part.extract()], "outerHTML")
    _apply_partials(soup, body)
    style = _swap_style(soup, asking[0])
    content = [node.extract() for node in list(body.children)]
    if style != "none" and any(isinstance(node, Tag) for node in content):
        _replace(soup, _targets(soup, asking[0]), content, style)
    return soup


def assert_same_page(swapped: BeautifulSoup, fresh: Page) -> None:
    """Fail with the difference when the swapped page is not the one that a fresh load shows."""
    left, right = _normal(swapped), _normal(fresh.soup)
    difference = "\n".join(difflib.unified_diff(left, right, "swapped", "fresh", lineterm="", n=2))
    assert left == right, f"{fresh.url}\n{difference}"


def _check_address(asking: Tag, page: Page, answer: Page) -> None:
    asked = next((str(asking[name]) for name in _REQUESTS if asking.has_attr(name)), None)
    assert asked is not None, f"{asking.name} asks for nothing"
    path = urlsplit(asked).path or urlsplit(page.url).path
    assert path == urlsplit(answer.url).path, f"{asking.name} asks for {path}, the answer is that of {answer.url}"


def _apply_partials(soup: BeautifulSoup, body: Tag) -> None:
    for part in body.select("hx-partial"):
        target, style = str(part["hx-target"]), str(part.get("hx-swap") or _default_style(soup))
        part.extract()
        _replace(soup, soup.select(target), [node.extract() for node in list(part.children)], style)


def _inherited(asking: Tag, name: str) -> tuple[Tag, str] | None:
    """Return the value of an attribute and the element that carries it; inheritance is explicit in htmx 4."""
    if asking.has_attr(name):
        return asking, str(asking[name])
    for tag in [asking, *asking.parents]:
        if tag.has_attr(f"{name}:inherited"):
            return tag, str(tag[f"{name}:inherited"])
    return None


def _swap_style(soup: BeautifulSoup, asking: Tag) -> str:
    found = _inherited(asking, "hx-swap")
    return found[1].split()[0] if found else _default_style(soup)


def _default_style(soup: BeautifulSoup) -> str:
    metas = soup.select('meta[name="htmx-config"]')
    configuration = json.loads(str(metas[0]["content"])) if metas else {}
    return str(configuration.get("defaultSwap", "innerHTML"))


def _targets(soup: BeautifulSoup, asking: Tag) -> list[Tag]:
    found = _inherited(asking, "hx-target")
    if found is None:
        return [asking]
    carrier, selector = found
    if selector == "this":
        return [carrier]
    if selector.startswith("closest "):
        wanted = selector.removeprefix("closest ")
        return [tag for tag in [asking, *asking.parents] if tag in soup.select(wanted)][:1]
    if selector.startswith("find "):
        return asking.select(selector.removeprefix("find "))[:1]
    return soup.select(selector)


def _replace(soup: BeautifulSoup, targets: list[Tag], content: Sequence[PageElement], style: str) -> None:
    assert len(targets) == 1, f"{len(targets)} elements to swap into"
    target = targets[0]
    if style in ("outerHTML", "outerMorph", "outerSync"):
        target.replace_with(*content)
    elif style in ("innerHTML", "innerMorph"):
        target.clear()
        target.extend(content)
    else:
        raise AssertionError(f"hx-swap={style} is not known here")


def _normal(soup: BeautifulSoup) -> list[str]:
    soup = BeautifulSoup(str(soup), "html5lib")
    for tag in soup.find_all(True):
        for name in _IGNORED:
            tag.attrs.pop(name, None)
        if tag.get("name") == "csrf_token":
            tag["value"] = "(token)"
    lines = (re.sub(r"\s+", " ", line).strip() for line in soup.prettify().splitlines())
    return [line for line in lines if line]

"""What holds for every page and every fragment of the shop."""

from __future__ import annotations

import re
from collections import Counter

import html5lib
from bs4 import BeautifulSoup, Tag
from werkzeug.wrappers import Response

from services.languages import LANGUAGES

HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=()",
}
UNRENDERED = re.compile(r"\{\{|\{%|%\([a-z_]+\)|\bUndefined\b")
UNLABELLED = {"hidden", "submit", "button", "image", "reset"}


def parse(html: str) -> BeautifulSoup:
    """Return the tree that a browser makes of the HTML."""
    return BeautifulSoup(html, "html5lib")


def words(tag: Tag) -> str:
    """Return the words in an element with single spaces between them."""
    return " ".join(tag.get_text(" ").split())


def check(soup: BeautifulSoup, response: Response, fragment: bool) -> None:
    """Fail with every rule that the page breaks."""
    html = response.get_data(as_text=True)
    faults = [*_syntax(html, fragment), *_content(soup, html), *_names(soup), *_references(soup, fragment)]
    faults += [*_forms(soup), *_answer(soup, response)]
    if not fragment:
        faults += _frame(soup, response)
    assert not faults, "\n".join(faults)


def _syntax(html: str, fragment: bool) -> list[str]:
    """Return where a browser would have to guess (WHATWG HTML, section 13.2: parse errors)."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    if fragment:
        parser.parseFragment(html, container="div")
    else:
        parser.parse(html)
    lines = html.splitlines()
    return [
        f"line {line}: {code} {values} in {lines[min(line, len(lines)) - 1].strip()[:100]!r}"
        for (line, _column), code, values in parser.errors
    ]


def _frame(soup: BeautifulSoup, response: Response) -> list[str]:
    headings = [words(tag) for tag in soup.select("h1")]
    if len(headings) != 1:
        return [f"{len(headings)} h1: {headings}"]
    faults = []
    title = words(soup.select("title")[0]) if soup.select("title") else ""
    if not title.startswith(headings[0]):
        faults.append(f"the title {title!r} does not start with the h1 {headings[0]!r}")
    root = soup.select("html")[0]
    path = response.request.path if hasattr(response, "request") else "/"
    language = LANGUAGES.get(path.split("/")[1])
    if language and (root.get("lang"), root.get("dir")) != (language.html, language.direction):
        faults.append(f"the page says lang={root.get('lang')} dir={root.get('dir')}")
    if not root.get("lang") or not root.get("dir"):
        faults.append("the page names no language or direction")
    return faults


def _content(soup: BeautifulSoup, html: str) -> list[str]:
    faults = [f"unrendered: {html[max(0, m.start() - 30) : m.end() + 30]!r}" for m in UNRENDERED.finditer(html)]
    # A block of data is no script: no browser runs it (HTML Standard, 4.12.1).
    scripts = soup.select('script:not([src]):not([type="application/ld+json"])')
    faults += [f"inline script: {str(tag)[:80]}" for tag in scripts]
    faults += [f"style attribute: {str(tag)[:80]}" for tag in soup.select("[style]")]
    faults += [
        f"handler {name}: {tag.name}" for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")
    ]
    ids = Counter(str(tag["id"]) for tag in soup.select("[id]"))
    return faults + [f"id {name} stands {count} times" for name, count in ids.items() if count > 1]


def _names(soup: BeautifulSoup) -> list[str]:
    """Return what a screen reader could not name (WAI-ARIA accessible names; WCAG 2.2, 1.1.1, 2.4.4, 4.1.2)."""
    faults = [f"no alt: {tag}" for tag in soup.select("img:not([alt])")]
    faults += [f"svg without a name: {str(tag)[:80]}" for tag in soup.select("svg") if not _svg_is_named(tag)]
    for tag in soup.select("a[href], button, summary, h1, h2, h3"):
        pictures = any(image.get("alt") for image in tag.select("img")) or tag.select("svg[aria-label], svg title")
        if not (words(tag) or tag.get("aria-label") or tag.get("aria-labelledby") or pictures):
            faults.append(f"nothing to read in {str(tag)[:100]}")
    for tag in soup.select("input, select, textarea"):
        if tag.get("type") in UNLABELLED or tag.get("aria-hidden") == "true":
            continue
        if tag.get("aria-label") or tag.get("aria-labelledby"):
            continue
        labels = soup.select(f'label[for="{tag["id"]}"]') if tag.get("id") else []
        if not labels and tag.find_parent("label") is None:
            faults.append(f"no label: {tag}")
    return faults


def _svg_is_named(tag: Tag) -> bool:
    around = tag.find_parent(attrs={"role": "img"})
    if tag.get("aria-hidden") == "true" or tag.find_parent(attrs={"aria-hidden": "true"}) is not None:
        return True
    return any(named.get("aria-label") or named.get("aria-labelledby") for named in (tag, around) if named) or bool(
        tag.find("title")
    )


def _references(soup: BeautifulSoup, fragment: bool) -> list[str]:
    """Return what points to an element that is not there; a fragment may point out of itself."""
    if fragment:
        return []
    ids = {str(tag["id"]) for tag in soup.select("[id]")}
    wanted = [(tag, str(tag["for"])) for tag in soup.select("label[for]")]
    for name in ("aria-describedby", "aria-labelledby", "aria-controls"):
        wanted += [(tag, part) for tag in soup.select(f"[{name}]") for part in str(tag[name]).split()]
    wanted += [(tag, str(tag["href"])[1:]) for tag in soup.select('a[href^="#"]')]
    for tag in soup.find_all(True):
        target = tag.get("hx-target") or tag.get("hx-target:inherited")
        if isinstance(target, str) and re.fullmatch(r"#[\w-]+", target):
            wanted.append((tag, target[1:]))
    return [f"{tag.name} points to #{name}, which is not there" for tag, name in wanted if name not in ids]


def _forms(soup: BeautifulSoup) -> list[str]:
    return [
        f"a POST form without a CSRF field: {str(form)[:100]}"
        for form in soup.select("form")
        if str(form.get("method", "get")).lower() == "post" and not form.select('input[name="csrf_token"]')
    ]


def _answer(soup: BeautifulSoup, response: Response) -> list[str]:
    faults = [
        f"header {name}: {response.headers.get(name)!r}"
        for name, value in HEADERS.items()
        if value not in response.headers.get(name, "")
    ]
    cache_control = response.headers.get("Cache-Control", "")
    personal = soup.select('input[name="csrf_token"]') or "Set-Cookie" in response.headers
    if "public" in cache_control and personal:
        faults.append("a public page has a CSRF token or sets a cookie")
    if personal and "no-store" not in cache_control:
        faults.append(f"a page of one visitor may be stored: Cache-Control {cache_control!r}")
    return faults

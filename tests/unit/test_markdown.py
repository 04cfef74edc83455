"""What becomes of the Markdown that staff writes, above all of what could do harm."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

from services.markdown import to_html


def parse(text: str) -> BeautifulSoup:
    return BeautifulSoup(to_html(text), "html5lib")


def test_words_lists_and_quotes_are_set() -> None:
    html = parse("One **two** *three*\n\n- a\n- b\n\n1. c\n\n> d")
    assert [tag.get_text() for tag in html.select("strong, em, ul li, ol li")] == ["two", "three", "a", "b", "c"]
    quote = html.select_one("blockquote.note")
    assert quote is not None
    assert quote.get_text().strip() == "d"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("# A\n## B\n### C", ["h2", "h3", "h4"]),
        ("## A\n### B\n## C", ["h2", "h3", "h2"]),
        ("# A\n##### B\n# C", ["h2", "h3", "h2"]),
        ("### A\n# B\n## C", ["h2", "h2", "h3"]),
        ("A\n=\nB\n-", ["h2", "h3"]),
        ("# A\n## B\n### C\n#### D\n##### E\n###### F", ["h2", "h3", "h4", "h5", "h6", "h6"]),
        ("# \n## A\n###", ["h2"]),
    ],
)
def test_headings_begin_below_the_title_of_the_page_and_skip_nothing(text: str, levels: list[str]) -> None:
    assert [tag.name for tag in parse(text).select("h1, h2, h3, h4, h5, h6")] == levels


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "Hello <img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<!-- a comment -->",
        "**<b onclick=alert(1)>x</b>**",
        '[x](/a "\\"><script>alert(1)</script>")',
        "<style>body { display: none }</style>",
    ],
)
def test_markup_is_words(text: str) -> None:
    """It stands on the page as it was typed."""
    html = parse(text)
    assert not html.select("script, img, b, style")
    assert not [tag for tag in html.find_all(True) for name in tag.attrs if name.startswith("on")]
    assert all(str(tag["href"]) == "/a" for tag in html.select("a"))


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript&colon;alert(1)",
        "&#106;avascript:alert(1)",
        "vbscript:x",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "//example.com/x",
        "terms",
        "#main",
        "../x",
    ],
)
def test_a_link_that_leads_elsewhere_is_words(address: str) -> None:
    for text in (f"[x]({address})", f"[x][1]\n\n[1]: {address}", f"<{address}>"):
        assert not parse(text).select("[href]"), text


@pytest.mark.parametrize("address", ["https://example.com/a?b=c", "http://example.com", "mailto:a@example.com", "/fr/"])
def test_a_harmless_link_leads_there(address: str) -> None:
    (link,) = parse(f"[words]({address})").select("a")
    assert (link["href"], link.get_text()) == (address, "words")


@pytest.mark.parametrize("address", ["/\\example.com", "/\t/example.com", "/\u00a0/example.com"])
def test_a_path_cannot_be_read_as_another_site(address: str) -> None:
    """Browsers take a backslash for a slash and leave tabs out."""
    for link in parse(f"[x](<{address}>)").select("a"):
        assert re.fullmatch(r"/%[0-9A-F]{2}\S*", str(link["href"]))


def test_a_link_without_words_shows_its_address() -> None:
    assert parse("[](https://example.com/a)").select("a")[0].get_text() == "https://example.com/a"


def test_a_picture_is_not_loaded() -> None:
    html = parse("![a pixel](https://example.com/pixel.png) and ![][1]\n\n[1]: https://example.com/pixel.png")
    assert not html.select("img, [src]")


def test_an_indented_line_is_a_line() -> None:
    """Not code, which a phone would have to be scrolled sideways for."""
    html = parse("    An indented line\n\n```\nfenced\n```")
    assert not html.select("pre")
    assert "An indented line" in html.get_text()


def test_the_longest_text_of_nothing_but_marks_comes_to_an_end() -> None:
    """Markdown has to look for what belongs to each of them."""
    for piece in ("[", "*a_", "![[]()", "> ", "`a ", "<a "):
        assert to_html((piece * 20_000)[:20_000])

"""The Markdown that staff writes, as HTML that can do no harm: no markup of its own, no pictures, harmless links."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup

# The page has its h1 already; below h6 there is nothing.
FIRST_LEVEL, LAST_LEVEL = 2, 6

# To other sites and to a mailbox; within the shop by a path, which `//` would lead out of.
_ADDRESS = re.compile(r"(?:https?://|mailto:|/(?!/))", re.IGNORECASE)
# Pictures would come from elsewhere. Code is set in lines that do not wrap, and an indented line is not meant as code.
_OFF = ["image", "code", "fence"]


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        """Return whether a link may lead to an address; where it may not, its Markdown stays on the page as it is."""
        return _ADDRESS.match(url) is not None


def to_html(text: str) -> Markup:
    """Return CommonMark as HTML that is safe in every page below its h1, whatever the text holds.

    Headings begin at h2 and skip no level, however the text counts them.
    """
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - HTML in the text is escaped, and links are checked


def _make() -> MarkdownIt:
    markdown = _Markdown("commonmark", {"html": False}).disable(_OFF)
    for rule in (_drop_empty_headings, _place_headings, _name_links, _mark_quotes):
        markdown.core.ruler.push(rule.__name__, rule)
    return markdown


def _drop_empty_headings(state: StateCore) -> None:
    """Leave out headings without a word: readers that list a page's headings would stop at nothing."""
    kept: list[Token] = []
    for token in state.tokens:
        kept.append(token)
        if token.type == "heading_close" and not kept[-2].content.strip():
            del kept[-3:]
    state.tokens = kept


def _place_headings(state: StateCore) -> None:
    """Give the headings the levels below h1, in the order of those that the text uses."""
    used = sorted({token.tag for token in state.tokens if token.type == "heading_open"})
    level = FIRST_LEVEL - 1
    for token in state.tokens:
        if token.type == "heading_open":
            level = min(used.index(token.tag) + FIRST_LEVEL, level + 1, LAST_LEVEL)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"


def _name_links(state: StateCore) -> None:
    """Let a link without words show its address: there would be nothing to tap and nothing to read."""
    for block in state.tokens:
        parts: list[Token] = []
        for token in block.children or ():
            if token.type == "link_close" and parts and parts[-1].type == "link_open":
                parts.append(Token("text", "", 0, content=str(parts[-1].attrs["href"])))
            parts.append(token)
        if block.children is not None:
            block.children = parts


def _mark_quotes(state: StateCore) -> None:
    """Set quotes apart in the way in which the shop's own notes are."""
    for token in state.tokens:
        if token.type == "blockquote_open":
            token.attrSet("class", "note")


_MARKDOWN = _make()

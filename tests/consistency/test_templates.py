"""How templates and fragments are named, and what must not stand in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
PAGES = sorted(file for file in TEMPLATES.rglob("*.html") if "mail" not in file.parts)
# Parts of every page, which no view returns alone.
FRAME = {"_header.html", "_footer.html"}
FRAGMENTS = [
    file for file in PAGES if file.name.startswith("_") and file.parent.name != "_macros" and file.name not in FRAME
]
FORBIDDEN = {
    "a style attribute": re.compile(r"\sstyle\s*="),
    "a handler": re.compile(r"\son[a-z]+\s*="),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)"),
    "unescaped output": re.compile(r"\|\s*safe\b"),
    "a physical direction": re.compile(r"\balign=|(?:margin|padding)-(?:left|right)"),
}


def name(file: Path) -> str:
    """Return the path as a view names it."""
    return file.relative_to(TEMPLATES).as_posix()


@pytest.mark.parametrize("file", FRAGMENTS, ids=name)
def test_a_fragment_says_what_it_needs_and_is_named_as_its_root(file: Path) -> None:
    """`_noun.html` begins with `{# in: ... #}` and its root element has the id `noun`.

    Only a part that mails share has no root, and says so in its first line.
    """
    source = file.read_text(encoding="utf-8")
    assert re.match(r"\{# in: .*#\}\n", source), "the first line is not {# in: names #}"
    if "no root of its own" in source.partition("\n")[0]:
        return
    source = re.sub(r"\{% macro .*?\{% endmacro %\}", "", source, flags=re.DOTALL)
    noun = file.stem.removeprefix("_").replace("_", "-")
    first = re.search(r"<[a-z][^>]*>", source)
    assert first is not None
    assert f'id="{noun}"' in first[0], f"the root is {first[0]}"


@pytest.mark.parametrize("file", PAGES, ids=name)
def test_nothing_that_the_content_security_policy_would_stop(file: Path) -> None:
    """Scripts are files, styles are classes, and output is escaped."""
    source = file.read_text(encoding="utf-8")
    assert [what for what, pattern in FORBIDDEN.items() if pattern.search(source)] == []


@pytest.mark.parametrize("file", [file for file in PAGES if file not in FRAGMENTS], ids=name)
def test_every_template_is_used(file: Path) -> None:
    """What nobody renders, includes, imports or extends is gone."""
    root = TEMPLATES.parent
    sources = [*root.glob("blueprints/**/*.py"), *PAGES]
    assert any(name(file) in source.read_text(encoding="utf-8") for source in sources if source != file)

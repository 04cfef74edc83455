"""`make pictures`: the picture that is shown with a link to the shop, one for each language, and the logo.

They are files of the repository: whoever runs the shop needs neither a browser nor fonts for them. To be made again
when their words or the list of languages have changed; tests/consistency/test_share_pictures.py notices both.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from babel.support import NullTranslations, Translations
from markupsafe import Markup, escape
from playwright.sync_api import sync_playwright

from scripts.chromium import chromium
from services.languages import DEFAULT_LANGUAGE, LANGUAGES, Language

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "static" / "img" / "share"
# What each picture was made from: a digest of its document, beside the pictures but never published.
RECORD = PICTURES / "made-from.json"
# 1.91 to 1, which is shown without cutting (developers.facebook.com/docs/sharing/webmasters/images).
SIZE = (1200, 630)

_ICON = """<svg viewBox="0 0 32 32" width="{size}" height="{size}">
<rect width="32" height="32" rx="{radius}" fill="{ground}"/>
<path d="M5 21c4 0 5-4 8-4s4 4 7 4 4-3 7-3" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/>
<circle cx="20" cy="10.5" r="4.5" fill="#fff"/><circle cx="20" cy="10.5" r="2.2" fill="#cf4627"/></svg>"""
_PAGE = """<!doctype html><html lang="{html}" dir="{direction}"><meta charset="utf-8"><style>
*{{box-sizing:border-box;margin:0}}
body{{width:1200px;height:630px;padding:84px 88px;display:flex;flex-direction:column;justify-content:space-between;
background:#0a5b7c;color:#fff;font-family:"Noto Sans","Noto Sans CJK JP","Noto Sans Arabic",sans-serif}}
:lang(zh-Hans) body{{font-family:"Noto Sans","Noto Sans CJK SC",sans-serif}}
:lang(zh-Hant) body{{font-family:"Noto Sans","Noto Sans CJK TC",sans-serif}}
:lang(ko) body{{font-family:"Noto Sans","Noto Sans CJK KR",sans-serif}}
.brand{{display:flex;align-items:center;gap:28px;font-size:40px}}
.brand b{{font-family:"Noto Sans CJK TC";font-size:48px}}
h1{{font-size:88px;line-height:1.15;font-weight:700;text-wrap:balance}}
p{{font-size:40px;line-height:1.4;opacity:.92;text-wrap:balance}}
</style><body><div class="brand">{icon}<b>远遊卡</b><span>{name}</span></div>
<h1>{title}</h1><p>{lead}</p></body></html>"""


def main() -> None:
    """Make every picture; ends with a message where there is no Chromium."""
    path = chromium()
    if path is None:
        sys.exit("no Chromium on this machine")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        sandboxed = [] if os.getuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=path, args=sandboxed)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        for language in LANGUAGES.values():
            page.set_content(document(language))
            page.screenshot(path=PICTURES / f"{language.code}.png")
        page.set_viewport_size({"width": 512, "height": 512})
        page.set_content(f"<style>body{{margin:0}}</style>{_ICON.format(size=512, radius=0, ground='#0a5b7c')}")
        page.screenshot(path=PICTURES.parent / "logo.png")
        browser.close()
    RECORD.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")


def document(language: Language) -> str:
    """Return the page that the picture of a language is taken of."""
    say = _texts(language).gettext
    return _PAGE.format(
        html=language.html,
        direction=language.direction,
        icon=Markup(_ICON.format(size=84, radius=9, ground="#08465f")),  # noqa: S704 - our own drawing
        name=escape(say("Monaco travel card")),
        title=escape(say("Mobile data for Monaco")),
        lead=escape(say("When it runs low, renew the same eSIM.")),
    )


def digests() -> dict[str, str]:
    """Return what the picture of each language would be made from now, by the code of the language."""
    return {
        language.code: hashlib.sha256(document(language).encode()).hexdigest()[:16] for language in LANGUAGES.values()
    }


def _texts(language: Language) -> NullTranslations:
    if language.code == DEFAULT_LANGUAGE:
        return NullTranslations()
    return Translations.load(ROOT / "translations", [language.locale])


if __name__ == "__main__":
    main()

"""`make i18n`: collect the texts and bring every catalogue in step with them; nothing in them but words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from services.languages import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
TRANSLATIONS = ROOT / "translations"
TEMPLATE = TRANSLATIONS / "messages.pot"
KEYWORDS = ("_l", "lazy_gettext", "lazy_ngettext:1,2")


def extract(target: Path) -> Path:
    """Write the template catalogue to `target` and return it; without dates and places, so that a diff shows words."""
    keywords = [option for keyword in KEYWORDS for option in ("--keyword", keyword)]
    options = ["--no-location", "--omit-header", "--sort-output", "--add-comments", "I18N:", *keywords]
    _pybabel("extract", "--mapping", "babel.cfg", *options, "--output", str(target), ".")
    return target


def main() -> None:
    """Extract, then update the catalogue of every language, or begin it."""
    extract(TEMPLATE)
    for language in LANGUAGES.values():
        if language.code == "en":
            continue
        file = TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.po"
        file.parent.mkdir(parents=True, exist_ok=True)
        options = ["--input-file", str(TEMPLATE), "--output-file", str(file), "--locale", language.locale]
        if file.exists():
            _pybabel("update", *options, "--no-fuzzy-matching", "--ignore-obsolete", "--omit-header")
        else:
            _pybabel("init", *options)


def _pybabel(*arguments: str) -> None:
    command = [sys.executable, "-m", "babel.messages.frontend", "--quiet", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()

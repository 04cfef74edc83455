"""`make i18n`: collect the texts and bring every catalogue in step with them.

Catalogues hold words and how to count, no dates and no places in the code, so that a diff shows words only.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from services.languages import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
TRANSLATIONS = ROOT / "translations"
TEMPLATE = TRANSLATIONS / "messages.pot"
KEYWORDS = ("_l", "lazy_gettext", "lazy_ngettext:1,2")
# Without the first entry a catalogue counts as unsure as a whole and is not compiled; plurals come from it, too.
HEADER = """\
msgid ""
msgstr ""
"Language: {locale}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"

"""


def main() -> None:
    """Extract, then update the catalogue of every language, or begin it."""
    extract(TEMPLATE)
    template = read_catalogue(TEMPLATE)
    for language in LANGUAGES.values():
        if language.code == "en":
            continue
        file = TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.po"
        file.parent.mkdir(parents=True, exist_ok=True)
        catalogue = read_catalogue(file, language.locale) if file.exists() else Catalog(locale=language.locale)
        catalogue.update(template, no_fuzzy_matching=True)
        words = io.BytesIO()
        write_po(words, catalogue, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True)
        plural_forms = language.plural_forms or catalogue.plural_forms
        header = HEADER.format(locale=language.locale, plural_forms=plural_forms)
        file.write_bytes(header.encode() + words.getvalue().lstrip())


def extract(target: Path) -> Path:
    """Write the template catalogue to `target` and return it."""
    # Babel's own choice would leave out folders with an underscore, and with them the macros.
    folders = ["--ignore-dirs", ".*"]
    keywords = [option for keyword in KEYWORDS for option in ("--keyword", keyword)]
    options = ["--no-location", "--omit-header", "--sort-output", "--add-comments", "I18N:", *keywords]
    command = [sys.executable, "-m", "babel.messages.frontend", "--quiet", "extract", "--mapping", "babel.cfg"]
    subprocess.run([*command, *options, *folders, "--output", str(target), "."], cwd=ROOT, check=True)
    return target


def read_catalogue(file: Path, locale: str | None = None) -> Catalog:
    """Return a catalogue; `fuzzy` when its first entry is missing."""
    with file.open("rb") as stream:
        return read_po(stream, locale=locale)


if __name__ == "__main__":
    main()

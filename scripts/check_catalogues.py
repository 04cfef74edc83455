"""Fail when the committed catalogues are not what the texts in the code ask for."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from babel.messages.catalog import Catalog

from scripts.update_catalogues import TEMPLATE, TRANSLATIONS, extract, read_catalogue
from services.languages import LANGUAGES


def main() -> None:
    """Print what is wrong, and end with 1 when something is; arguments are the languages to look at, all by default."""
    faults = [*_template_faults(), *_translation_faults(sys.argv[1:] or list(LANGUAGES))]
    print("\n".join(faults) or "catalogues: in step")
    sys.exit(bool(faults))


def _template_faults() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        fresh = extract(Path(directory) / "messages.pot")
        wanted = _ids(read_catalogue(fresh))
    committed = _ids(read_catalogue(TEMPLATE)) if TEMPLATE.exists() else set()
    yield from (f"{TEMPLATE.name} lacks {message!r}: run `make i18n`" for message in sorted(wanted - committed))
    yield from (f"{TEMPLATE.name} still has {message!r}: run `make i18n`" for message in sorted(committed - wanted))


def _translation_faults(codes: Collection[str]) -> Iterator[str]:
    """Yield what languages lack; English is the source and has no catalogue."""
    wanted = _ids(read_catalogue(TEMPLATE)) if TEMPLATE.exists() else set()
    for language in LANGUAGES.values():
        if language.code == "en" or language.code not in codes:
            continue
        file = TRANSLATIONS / language.locale / "LC_MESSAGES" / "messages.po"
        catalogue = read_catalogue(file, language.locale)
        name = f"{language.locale}/messages.po"
        if catalogue.fuzzy:
            yield f"{name} has no header, so that it would not be compiled: run `make i18n`"
        yield from (f"{name} lacks {message!r}" for message in sorted(wanted - _ids(catalogue)))
        for message in catalogue:
            if not message.id:
                continue
            forms = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
            if not all(forms):
                yield f"{name} does not translate {message.id!r}"
            if message.fuzzy:
                yield f"{name} is unsure about {message.id!r}"
            yield from (f"{name}: {message.id!r}: {error}" for error in message.check(catalogue))


def _ids(catalogue: Catalog) -> set[str]:
    return {str(message.id) for message in catalogue if message.id}


if __name__ == "__main__":
    main()

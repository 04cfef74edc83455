"""The pictures that are shown with a link to the shop are those of its texts and languages."""

from __future__ import annotations

import json

from scripts.share_pictures import PICTURES, RECORD, digests
from services.languages import LANGUAGES


def test_there_is_one_for_each_language_and_none_is_out_of_date() -> None:
    """When this fails, `make pictures` makes them again: their words or the list of languages have changed."""
    assert json.loads(RECORD.read_text(encoding="utf-8")) == digests()
    assert {path.stem for path in PICTURES.glob("*.png")} == set(LANGUAGES)

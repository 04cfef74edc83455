"""Names of countries, and their order."""

from __future__ import annotations

from services.countries import by_name, country_name


def names(locale: str, *codes: str) -> list[str]:
    """Return countries as a list in `locale` shows them."""
    return [country_name(code, locale) for code in by_name(codes, locale)]


def test_letters_with_accents_stand_beside_those_without() -> None:
    assert names("es", "BG", "BE", "AT") == ["Austria", "Bélgica", "Bulgaria"]
    assert names("de", "CY", "AT", "PL") == ["Österreich", "Polen", "Zypern"]
    assert names("pt", "AT", "BG", "DE") == ["Alemanha", "Áustria", "Bulgária"]


def test_an_alphabet_of_its_own_is_followed() -> None:
    assert names("ru", "CH", "AT", "BG") == ["Австрия", "Болгария", "Швейцария"]

"""Filling in a form as a visitor does: only what is on the page can be entered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bs4 import BeautifulSoup, Tag

from tests.page_rules import words

Values = Mapping[str, str | bool]


@dataclass(frozen=True)
class SentForm:
    """What a browser would send, and where to."""

    method: str
    action: str
    values: dict[str, list[str]]


def fill(soup: BeautifulSoup, name: str, entered: Values) -> SentForm:
    """Return the form with this id, or with a button that says this, filled in with `entered`.

    True and False tick and untick a checkbox. Fails for a field that is not there, is hidden, or does not offer the
    value.
    """
    form, button = _find(soup, name)
    return _filled(soup, form, button, entered)


def fill_form(form: Tag, soup: BeautifulSoup, entered: Values) -> SentForm:
    """Return a form of the page filled in with `entered` and sent with its last button; fails as `fill` does."""
    buttons = [button for button in form.select("button") if button.get("type", "submit") == "submit"]
    return _filled(soup, form, buttons[-1] if buttons else None, entered)


def _filled(soup: BeautifulSoup, form: Tag, button: Tag | None, entered: Values) -> SentForm:
    values: dict[str, list[str]] = {}
    controls = [control for control in _controls(soup, form) if control.get("name")]
    unknown = set(entered) - {str(control["name"]) for control in controls if control.get("type") != "hidden"}
    assert not unknown, f"the form has no {sorted(unknown)} to fill in"
    for control in controls:
        key = str(control["name"])
        for value in _sent(control, entered.get(key)):
            values.setdefault(key, []).append(value)
    for key, wanted in entered.items():
        assert isinstance(wanted, bool) or wanted in values.get(key, []), f"{key} does not offer {wanted!r}"
    if button is not None and button.get("name"):
        values.setdefault(str(button["name"]), []).append(str(button.get("value", "")))
    override = str(button.get("formaction", "")) if button is not None else ""
    return SentForm(str(form.get("method", "get")).lower(), override or str(form.get("action", "")), values)


def _find(soup: BeautifulSoup, name: str) -> tuple[Tag, Tag | None]:
    by_id = soup.select_one(f'form[id="{name}"]')
    if by_id is not None:
        buttons = [button for button in by_id.select("button") if button.get("type", "submit") == "submit"]
        return by_id, buttons[0] if buttons else None
    found = [button for button in soup.select("form button, button[form]") if words(button) == name]
    assert len(found) == 1, f"{len(found)} forms have the id or a button {name!r}"
    form = soup.select_one(f'form[id="{found[0]["form"]}"]') if found[0].get("form") else found[0].find_parent("form")
    assert isinstance(form, Tag)
    return form, found[0]


def _controls(soup: BeautifulSoup, form: Tag) -> list[Tag]:
    inside = [tag for tag in form.select("input, select, textarea") if not tag.get("form")]
    outside = soup.select(f'[form="{form["id"]}"]:is(input, select, textarea)') if form.get("id") else []
    return [tag for tag in [*inside, *outside] if not tag.has_attr("disabled")]


def _sent(control: Tag, entered: str | bool | None) -> list[str]:
    """Return what one control contributes."""
    kind = str(control.get("type", "text")) if control.name == "input" else control.name
    if kind in ("submit", "button", "image", "reset"):
        return []
    if kind == "checkbox":
        ticked = control.has_attr("checked") if entered is None else bool(entered)
        return [str(control.get("value", "on"))] if ticked else []
    if kind == "radio":
        value = str(control.get("value", "on"))
        return [value] if (control.has_attr("checked") if entered is None else value == entered) else []
    if kind == "select":
        return _chosen(control, entered)
    if entered is not None:
        return [str(entered)]
    return [control.get_text() if kind == "textarea" else str(control.get("value", ""))]


def _chosen(control: Tag, entered: str | bool | None) -> list[str]:
    options = [str(option.get("value", words(option))) for option in control.select("option")]
    if entered is not None:
        return [option for option in options if option == entered]
    selected = [str(option.get("value", words(option))) for option in control.select("option[selected]")]
    return selected or options[:1]

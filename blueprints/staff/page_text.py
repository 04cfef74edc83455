"""The text of one page in one language: writing it, looking at it before it is saved, taking it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, abort, make_response, render_template, request, url_for

from blueprints._rerun import repeatable
from blueprints._web import current_shop, now, see_other
from blueprints.staff import access, blueprint
from blueprints.staff.forms import LOCALE, PageTextForm
from models import PageName, PageText, Staff, db
from services import page_texts
from services.languages import DEFAULT_LANGUAGE, LANGUAGES
from services.markdown import to_html
from services.money import format_moment

# Digits of the largest number that both databases take for an id, less one.
LONGEST_ID = 9
# What an action leads back with, so that the page can say what was done.
DONE: Mapping[str, str] = {"saved": "The text is saved.", "back": "The text is taken back."}


@blueprint.get("/texts/<page>/<lang:language>")
@access.staff_required
def page_text(page: str, language: str) -> Response:
    """Show the text of a page in a language, with its history; `?version=` opens another version, in any language."""
    name = _page_name(page)
    opened = _opened(name)
    newest = page_texts.newest_version(db.session(), name, language)
    shown = opened or newest
    form = PageTextForm(
        LANGUAGES[language],
        formdata=None,
        body=shown.body if shown is not None else "",
        seen=newest.id if newest is not None else "",
    )
    return _page(name, language, form, opened=opened, preview=opened.body if opened is not None else None)


# Run again, it finds the text that the first run may have saved, and keeps it once.
@blueprint.post("/texts/<page>/<lang:language>")
@repeatable
@access.staff_required
def save_page_text(page: str, language: str) -> Response:
    """Save the text, or show what it looks like when that is what the button asked for."""
    name, form = _page_name(page), PageTextForm(LANGUAGES[language])
    if form.validate_on_submit():
        try:
            if "preview" in request.form:
                return _page(name, language, form, preview=page_texts.clean(form.body.data))
            _save(name, language, form)
        except page_texts.TextEmpty:
            form.body.errors = ["Enter a text. To be without one, take it back."]
        except page_texts.TextTooLong as error:
            form.body.errors = [f"Use at most {page_texts.LONGEST_TEXT:,} characters; these are {error.length:,}."]
        except page_texts.TextMovedOn as error:
            form.seen.data = error.newest.id
            form.body.errors = [_moved_on(error.newest)]
        else:
            return _to_text(name, language, "saved")
    return _page(name, language, form)


# Run again, it finds the text taken back.
@blueprint.post("/texts/<page>/<lang:language>/removal")
@repeatable
@access.staff_required
def take_back_page_text(page: str, language: str) -> Response:
    """Let the page do without a text of its own in this language."""
    name = _page_name(page)
    with current_shop().transaction() as session:
        page_texts.take_back(session, name, language, now(), by=access.actor())
    return _to_text(name, language, "back")


def _save(name: PageName, language: str, form: PageTextForm) -> None:
    with current_shop().transaction() as session:
        page_texts.save_text(
            session,
            name,
            language,
            form.body.data,
            seen=_id(form.seen.data),
            by=access.actor(),
            now=now(),
        )


def _page_name(page: str) -> PageName:
    try:
        return PageName(page)
    except ValueError:
        abort(404)


def _opened(name: PageName) -> PageText | None:
    """Return the version that the address asks for, None when it asks for none; one that does not exist is a 404."""
    text = request.args.get("version")
    if text is None:
        return None
    version_id = _id(text)
    if version_id is None:
        abort(404)
    try:
        return page_texts.find_version(db.session(), name, version_id)
    except page_texts.VersionNotFound:
        abort(404)


def _id(text: str | None) -> int | None:
    """Return the id that stands in an address or a form, None for what is none."""
    text = text or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID else None


def _moved_on(newest: PageText) -> str:
    writer = db.session.get_one(Staff, newest.staff_id)
    moment = format_moment(newest.created_at, LOCALE)
    return f"{writer.name} has changed this text since you opened it, {moment}. Look at it below; save to replace it."


def _to_text(name: PageName, language: str, done: str) -> Response:
    return see_other(url_for("staff.page_text", page=name.value, language=language, done=done))


def _page(
    name: PageName,
    language: str,
    form: PageTextForm,
    *,
    opened: PageText | None = None,
    preview: str | None = None,
) -> Response:
    session = db.session()
    states = page_texts.overview(session)[name]
    addresses = {code: url_for("staff.page_text", page=name.value, language=code) for code in LANGUAGES}
    context: dict[str, Any] = {
        "page": name,
        "language": LANGUAGES[language],
        "states": states,
        "addresses": addresses,
        "lacking": [code for code, found in states.items() if found.needs_work],
        "form": form,
        "opened": opened,
        "preview": to_html(preview) if preview is not None else None,
        "shown": page_texts.shown_text(session, name, language),
        "english": page_texts.shown_text(session, name, DEFAULT_LANGUAGE),
        "history": page_texts.history(session, name, language),
        "may_write": access.may(access.Act.WRITE),
        "done": DONE.get(request.args.get("done", "")),
    }
    return make_response(render_template("staff/page_text.html", **context), 422 if form.errors else 200)

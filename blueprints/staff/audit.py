"""The audit: who did what to what, from where; for reading only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, abort, make_response, render_template, request, stream_with_context, url_for
from sqlalchemy.orm import Session
from wtforms.fields.choices import SelectChoice

from blueprints._web import now
from blueprints.staff import access, blueprint
from blueprints.staff.forms import AuditFilterForm
from models import PageName, db
from services import csv_export
from services.audit import Action, SubjectKind
from services.audit_log import AuditFilter, Event, Place, list_members, read_all, read_page
from services.audit_words import action_words, changes, changes_in_one_line, subject_words
from services.languages import LANGUAGES
from services.money import MONACO

NOBODY = "nobody"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# A place in the list as an address names it: microseconds since 1970 and an id that both databases can compare.
_PLACE = re.compile(r"(\d{1,16})-(\d{1,18})", re.ASCII)
_STAFF_ID = re.compile(r"\d{1,9}", re.ASCII)
HEADER = (
    *("Time (Monaco)", "Time (UTC)", "Who", "Role", "What", "Action", "Kind of subject", "Subject"),
    *("Before and after", "Reason", "From", "Request"),
)
# What the templates say a row with.
AUDIT_WORDS = {"action": action_words, "subject": subject_words, "changes": changes}


@blueprint.get("/audit")
@access.staff_required
def audit() -> Response:
    """List what was done, newest first; the filters stand in the address."""
    session, form = db.session(), AuditFilterForm(request.args)
    form.who.choices = _choices(session)
    is_valid = form.validate()
    page = read_page(session, _wanted(form)) if is_valid else None
    older = page.next_before if page is not None else None
    context = {
        "form": form,
        "page": page,
        "words": AUDIT_WORDS,
        "addresses": _addresses(page.events) if page is not None else {},
        "is_filtered": any(form.data.values()),
        "older": url_for("staff.audit", **_kept(form), before=_place_text(older)) if older is not None else None,
        "file": url_for("staff.audit_csv", **_kept(form)),
    }
    return make_response(render_template("staff/audit.html", **context), 200 if is_valid else 422)


@blueprint.get("/audit.csv")
@access.staff_required
def audit_csv() -> Response:
    """Send every row of the filters as a file, as it is read."""
    session, form = db.session(), AuditFilterForm(request.args)
    form.who.choices = _choices(session)
    if not form.validate():
        abort(422)
    lines = csv_export.lines(HEADER, map(_cells, read_all(session, _wanted(form))))
    response = Response(stream_with_context(lines), mimetype="text/csv")
    name = f"audit-{now().astimezone(MONACO):%Y-%m-%d}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _choices(session: Session) -> list[SelectChoice]:
    members = [SelectChoice(str(each.id), f"{each.name} ({each.email})") for each in list_members(session)]
    return [SelectChoice("", "Everybody"), *members, SelectChoice(NOBODY, "Nobody signed in, and commands")]


def _wanted(form: AuditFilterForm) -> AuditFilter:
    """Return the filter that a form without a mistake asks for; what nobody could choose has failed before."""
    chosen = form.who.data or ""
    return AuditFilter(
        staff_id=int(chosen) if _STAFF_ID.fullmatch(chosen) else None,
        nobody=chosen == NOBODY,
        action=Action(form.action.data) if form.action.data else None,
        subject_key=form.subject.data or None,
        first=form.first.data,
        last=form.last.data,
        before=_place(request.args.get("before", "")),
    )


def _kept(form: AuditFilterForm) -> dict[str, Any]:
    """Return the filters as an address has them, without those that are empty."""
    return {name: str(value) for name, value in form.data.items() if value}


def _place(text: str) -> Place | None:
    """Return the place that an address names, None for what is none."""
    found = _PLACE.fullmatch(text)
    return Place(EPOCH + int(found[1]) * MICROSECOND, int(found[2])) if found is not None else None


def _place_text(place: Place) -> str:
    return f"{(place.at - EPOCH) // MICROSECOND}-{place.id}"


def _addresses(events: Sequence[Event]) -> Mapping[int, str]:
    """Return where the subjects of some rows are, for those that have a page."""
    found = ((event.id, subject_address(event.subject_kind, event.subject_key)) for event in events)
    return {event_id: address for event_id, address in found if address is not None}


def subject_address(kind: str, key: str) -> str | None:
    """Return the page of what something was done to, None where it has none."""
    if kind == SubjectKind.ORDER:
        return url_for("staff.order", public_id=key)
    name, _slash, language = key.partition("/")
    if language not in LANGUAGES:
        return None
    if kind == SubjectKind.PAGE_TEXT and name in list(PageName):
        return url_for("staff.page_text", page=name, language=language)
    if kind == SubjectKind.PLAN_TEXT:
        return url_for("staff.plan_text", slug=name, language=language)
    return None


def _cells(event: Event) -> tuple[csv_export.Cell, ...]:
    local = event.at.astimezone(MONACO)
    return (
        *(f"{local:%Y-%m-%d %H:%M:%S}", event.at, event.staff_name, event.role),
        *(action_words(event.action), event.action, subject_words(event.subject_kind), event.subject_key),
        *(changes_in_one_line(event.before, event.after), event.note, event.from_address, event.request_id),
    )

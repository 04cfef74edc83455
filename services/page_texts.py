"""What staff wrote for public pages, in versions that stay: which text a page shows, and what its languages lack.

A page shows the text of its own language. Where there is none but an English one, it shows that: the text that comes
with the shop would say something else than what staff wrote, above all in the terms. Else it shows what comes with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from models import PageName, PageText, Staff
from services import audit
from services.audit import Action, Actor, Subject
from services.catalogue import move_catalogue_version
from services.languages import DEFAULT_LANGUAGE, LANGUAGES, Language
from services.markdown import to_html

LONGEST_TEXT = 20_000
HISTORY_LENGTH = 50


class TextEmpty(Exception):
    """There is nothing in the text: to be without one, it is taken back."""


class TextTooLong(Exception):
    """The text has more characters than a page takes; `length` says how many."""

    def __init__(self, length: int) -> None:
        super().__init__(f"{length} characters, {LONGEST_TEXT} at most")
        self.length = length


class TextMovedOn(Exception):
    """Somebody else has written since the text was opened; `newest` is what there is now."""

    def __init__(self, newest: PageText) -> None:
        super().__init__(f"version {newest.id} is newer")
        self.newest = newest


class VersionNotFound(Exception):
    """No version of this page with a text has this number."""


class TextState(StrEnum):
    """What a page shows in a language, and whether that needs somebody's attention."""

    BUILT_IN = "built-in"
    OWN = "own"
    ENGLISH = "english"
    OUTDATED = "outdated"


@dataclass(frozen=True, kw_only=True)
class ShownText:
    """A text of staff's as a page shows it; `language` is its own, which need not be the page's."""

    id: int
    language: Language
    body: str

    @property
    def html(self) -> Markup:
        """Return the text as HTML that is safe in every page."""
        return to_html(self.body)


@dataclass(frozen=True, kw_only=True)
class Newest:
    """The newest version of a page in a language; not `is_own` when it took the text back."""

    id: int
    is_own: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class LanguageState:
    """What a page shows in a language; `since` is when that text was written, None for what comes with the shop."""

    language: Language
    state: TextState
    since: datetime | None

    @property
    def needs_work(self) -> bool:
        """Return whether travellers read English there, or something older than the English text."""
        return self.state in (TextState.ENGLISH, TextState.OUTDATED)


def shown_text(session: Session, page: PageName, code: str) -> ShownText | None:
    """Return the text that a page shows in a language, None for what comes with the shop; by one SQL statement."""
    rows = session.scalars(_newest(page, {code, DEFAULT_LANGUAGE}))
    bodies = {row.language: row for row in rows if row.body is not None}
    found = bodies.get(code) or bodies.get(DEFAULT_LANGUAGE)
    if found is None or found.body is None:
        return None
    return ShownText(id=found.id, language=LANGUAGES[found.language], body=found.body)


def newest_version(session: Session, page: PageName, code: str) -> PageText | None:
    """Return the newest version of a page in a language, None when nobody has ever written one."""
    return session.scalars(_newest(page, {code})).one_or_none()


def clean(body: str) -> str:
    """Return a text as it is kept: with one kind of line break and nothing around it; raises TextEmpty, TextTooLong."""
    body = body.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not body:
        raise TextEmpty
    if len(body) > LONGEST_TEXT:
        raise TextTooLong(len(body))
    return body


def save_text(
    session: Session, page: PageName, code: str, body: str, *, seen: int | None, by: Actor, now: datetime
) -> None:
    """Let a page show a text in a language as soon as the surrounding transaction has committed.

    `seen` is the id of the version that was the newest when the text was opened, None when there was none. The text
    that is shown already is not kept twice, unless the English one has changed since: then it is confirmed. Raises
    TextEmpty, TextTooLong and TextMovedOn.
    """
    body = clean(body)
    # First, because it takes a lock: of two who save at once, the second sees what the first has written.
    move_catalogue_version(session)
    newest = newest_version(session, page, code)
    if newest is not None and newest.body == body and not _is_outdated(session, newest):
        return
    if newest is not None and newest.id != seen:
        raise TextMovedOn(newest)
    _add(session, page, code, body, newest, by, now)


def take_back(session: Session, page: PageName, code: str, now: datetime, *, by: Actor) -> None:
    """Let a page do without a text of its own in a language from now on; does nothing where it has none."""
    move_catalogue_version(session)
    newest = newest_version(session, page, code)
    if newest is not None and newest.body is not None:
        _add(session, page, code, None, newest, by, now)


def find_version(session: Session, page: PageName, version_id: int) -> PageText:
    """Return a version of a page in any language, with what it says; raises VersionNotFound."""
    found = session.get(PageText, version_id)
    if found is None or found.page is not page or found.body is None:
        raise VersionNotFound(str(version_id))
    return found


def history(session: Session, page: PageName, code: str) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the last versions of a page in a language, newest first, with who wrote them and how long they are."""
    return session.execute(
        select(PageText.id, PageText.created_at, func.length(PageText.body).label("length"), Staff.name.label("staff"))
        .join(Staff, Staff.id == PageText.staff_id)
        .where(PageText.page == page, PageText.language == code)
        .order_by(PageText.id.desc())
        .limit(HISTORY_LENGTH)
    ).all()


def overview(session: Session) -> dict[PageName, dict[str, LanguageState]]:
    """Return what every page shows in every language, by one SQL statement."""
    newest_ids = select(func.max(PageText.id)).group_by(PageText.page, PageText.language)
    columns = (PageText.id, PageText.page, PageText.language, PageText.body.is_not(None).label("is_own"))
    newest: dict[PageName, dict[str, Newest]] = {page: {} for page in PageName}
    for row in session.execute(select(*columns, PageText.created_at).where(PageText.id.in_(newest_ids))):
        newest[row.page][row.language] = Newest(id=row.id, is_own=row.is_own, created_at=row.created_at)
    return {page: states(found) for page, found in newest.items()}


def states(newest: Mapping[str, Newest]) -> dict[str, LanguageState]:
    """Return what a page shows in each language, from the newest version of each language that has any."""
    english = newest.get(DEFAULT_LANGUAGE)
    found = {}
    for code, language in LANGUAGES.items():
        own = newest.get(code)
        state, since = TextState.BUILT_IN, None
        if own is not None and own.is_own:
            # A later English version counts even when it took the English text back: they no longer say the same.
            is_outdated = english is not None and english.id > own.id
            state, since = TextState.OUTDATED if is_outdated else TextState.OWN, own.created_at
        elif english is not None and english.is_own:
            state, since = TextState.ENGLISH, english.created_at
        found[code] = LanguageState(language=language, state=state, since=since)
    return found


def _newest(page: PageName, codes: set[str]) -> Any:
    ids = (
        select(func.max(PageText.id))
        .where(PageText.page == page, PageText.language.in_(sorted(codes)))
        .group_by(PageText.language)
    )
    return select(PageText).where(PageText.id.in_(ids))


def _is_outdated(session: Session, newest: PageText) -> bool:
    english = newest_version(session, newest.page, DEFAULT_LANGUAGE)
    return english is not None and english.id > newest.id


def _add(
    session: Session, page: PageName, code: str, body: str | None, newest: PageText | None, by: Actor, now: datetime
) -> None:
    assert by.staff_id is not None
    added = PageText(page=page, language=code, body=body, created_at=now, staff_id=by.staff_id)
    session.add(added)
    session.flush()
    action = Action.PAGE_TEXT_SAVED if body is not None else Action.PAGE_TEXT_TAKEN_BACK
    before = _version(newest) if newest is not None else None
    subject = Subject.page_text(page, code)
    audit.record(session, action, subject, by=by, now=now, before=before, after=_version(added))


def _version(text: PageText) -> audit.Facts:
    """Return what the audit keeps of a version: the text itself stays in its own history."""
    return {"version": text.id, "characters": len(text.body) if text.body is not None else None}

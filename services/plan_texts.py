"""Names and descriptions of plans as staff writes them, one per language; where one is missing, English is shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from models import Plan, PlanState, PlanText
from services import audit
from services.audit import Action, Actor, Facts, Subject
from services.catalogue import PlanNotFound, move_catalogue_version
from services.languages import DEFAULT_LANGUAGE, LANGUAGES, Language

NAME_LENGTH = 120
DESCRIPTION_LENGTH = 2_000


class EnglishNeeded(Exception):
    """The English text of a plan cannot be removed: it stands in for every language without one."""


@dataclass(frozen=True, kw_only=True)
class PlanTexts:
    """What a plan is called and says; `texts` are those that were written, by code of their language."""

    slug: str
    state: PlanState
    texts: dict[str, PlanText]

    @property
    def name(self) -> str:
        """Return its English name, or what its address says where it has none."""
        return self.texts[DEFAULT_LANGUAGE].name if DEFAULT_LANGUAGE in self.texts else self.slug

    @property
    def missing(self) -> list[Language]:
        """Return the languages without a text of their own, which show the English one to travellers."""
        return [language for language in LANGUAGES.values() if language.code not in self.texts]


def list_plan_texts(session: Session) -> list[PlanTexts]:
    """Return every plan with its texts, in the shop's order, also those that are no longer sold: eSIMs show them."""
    plans = session.scalars(select(Plan).options(selectinload(Plan.texts)).order_by(Plan.position, Plan.id))
    return [_texts_of(plan) for plan in plans]


def read_plan_texts(session: Session, slug: str) -> PlanTexts:
    """Return a plan with its texts; raises PlanNotFound."""
    plan = session.scalars(select(Plan).where(Plan.slug == slug).options(selectinload(Plan.texts))).one_or_none()
    if plan is None:
        raise PlanNotFound(slug)
    return _texts_of(plan)


def clean_name(name: str) -> str:
    """Return a name in one line with single spaces; its length and whether there is one are the form's to check."""
    return " ".join(name.split())


def clean_description(description: str) -> str:
    """Return a description with one kind of line break and nothing around it."""
    return description.replace("\r\n", "\n").replace("\r", "\n").strip()


def save_plan_text(
    session: Session, slug: str, code: str, name: str, description: str, *, by: Actor, now: datetime
) -> None:
    """Let a plan be called `name` in a language once the surrounding transaction has committed; raises PlanNotFound."""
    # First, because it takes a lock: two who write the same text one after the other do not both insert it.
    move_catalogue_version(session)
    plan_id = _id_of(session, slug)
    text = session.get(PlanText, (plan_id, code), populate_existing=True)
    before = _described(text)
    if text is None:
        text = PlanText(plan_id=plan_id, language=code)
        session.add(text)
    text.name, text.description = name, description
    session.flush()
    after = _described(text)
    if after != before:
        subject = Subject.plan_text(slug, code)
        audit.record(session, Action.PLAN_TEXT_SAVED, subject, by=by, now=now, before=before, after=after)


def remove_plan_text(session: Session, slug: str, code: str, *, by: Actor, now: datetime) -> None:
    """Let a plan fall back to English in a language; does nothing where it has no text of its own there.

    Raises PlanNotFound and EnglishNeeded.
    """
    if code == DEFAULT_LANGUAGE:
        raise EnglishNeeded(slug)
    move_catalogue_version(session)
    text = session.get(PlanText, (_id_of(session, slug), code), populate_existing=True)
    if text is not None:
        before, subject = _described(text), Subject.plan_text(slug, code)
        session.delete(text)
        session.flush()
        audit.record(session, Action.PLAN_TEXT_REMOVED, subject, by=by, now=now, before=before)


def _described(text: PlanText | None) -> Facts | None:
    return {"name": text.name, "description": text.description} if text is not None else None


def _id_of(session: Session, slug: str) -> int:
    plan_id = session.scalar(select(Plan.id).where(Plan.slug == slug))
    if plan_id is None:
        raise PlanNotFound(slug)
    return plan_id


def _texts_of(plan: Plan) -> PlanTexts:
    return PlanTexts(slug=plan.slug, state=plan.state, texts={text.language: text for text in plan.texts})

"""Texts that staff wrote, put on the books without a form."""

from __future__ import annotations

from models import PageName, PlanText, Staff, db
from services import page_texts, plan_texts
from services.audit import Actor
from services.shop import Shop


class Writer:
    """A member of staff who writes texts; each call commits, so that requests see it."""

    def __init__(self, shop: Shop, member: Staff) -> None:
        self._shop = shop
        self._actor = Actor.of(member)

    def write(self, page: PageName, code: str, body: str) -> int:
        """Save a text over whatever there is, and return the id of the newest version."""
        newest = page_texts.newest_version(db.session(), page, code)
        seen, now = newest.id if newest is not None else None, self._shop.clock.now()
        with self._shop.transaction() as session:
            page_texts.save_text(session, page, code, body, seen=seen, by=self._actor, now=now)
        return self.newest_id(page, code)

    def take_back(self, page: PageName, code: str) -> None:
        """Let a page do without a text of its own in a language."""
        with self._shop.transaction() as session:
            page_texts.take_back(session, page, code, self._shop.clock.now(), by=self._actor)

    def remove_plan_text(self, slug: str, code: str) -> None:
        """Let a plan fall back to English in a language."""
        with self._shop.transaction() as session:
            plan_texts.remove_plan_text(session, slug, code, by=self._actor, now=self._shop.clock.now())

    def newest_id(self, page: PageName, code: str) -> int:
        """Return the id of the newest version of a page in a language."""
        newest = page_texts.newest_version(db.session(), page, code)
        assert newest is not None
        return newest.id


def plan_text(slug: str, code: str) -> PlanText | None:
    """Return what a plan is called in a language, as the database holds it now."""
    db.session.rollback()
    db.session.expire_all()
    return plan_texts.read_plan_texts(db.session(), slug).texts.get(code)

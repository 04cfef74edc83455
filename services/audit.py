"""The audit: what staff and commands have changed, written in the transaction of the change itself (docs/adr/0018).

Whoever changes something on behalf of a person takes an `Actor` and calls `record`; nothing else ever writes here.
Neither secrets nor buyers' addresses go in: the rows cannot be taken out again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from models import AuditEvent, PageName, Staff

# What is stored of one value and of one name; the whole text of a page stands in its own history.
VALUE_LENGTH = 300
KEY_LENGTH = 300
NOTE_LENGTH = 200

Value = str | int | bool | None
Facts = Mapping[str, Value]

# An activation code wherever somebody pasted one (GSMA SGP.22, section 4.1), with its prefix or without.
_ACTIVATION_CODE = re.compile(r"(?:LPA:)?1\$[^\s$]+\$\S*", re.IGNORECASE)

_DOMAIN = re.compile(r"(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}", re.IGNORECASE)


class Action(StrEnum):
    """What was done; the words that staff reads for it are in `audit_words`."""

    SIGNED_IN = "staff.signed_in"
    SIGN_IN_REFUSED = "staff.sign_in_refused"
    SIGN_IN_BLOCKED = "staff.sign_in_blocked"
    SIGNED_OUT = "staff.signed_out"
    INVITED = "staff.invited"
    SET_UP = "staff.set_up"
    REFUND_REQUESTED = "refund.requested"
    DELIVERY_RETRIED = "delivery.retried"
    DELIVERY_LOOKED_AT = "delivery.looked_at"
    DELIVERY_CLOSED = "delivery.closed"
    FINDING_SETTLED = "finding.settled"
    RECIPIENT_CORRECTED = "recipient.corrected"
    RECIPIENT_RETRIED = "recipient.retried"
    PAGE_TEXT_SAVED = "page_text.saved"
    PAGE_TEXT_TAKEN_BACK = "page_text.taken_back"
    PLAN_TEXT_SAVED = "plan_text.saved"
    PLAN_TEXT_REMOVED = "plan_text.removed"
    CATALOGUE_SYNCED = "catalogue.synced"
    SUPPLIER_CONNECTED = "supplier.connected"
    DEMO_SEEDED = "demo.seeded"


class SubjectKind(StrEnum):
    """What sort of thing something was done to."""

    ORDER = "order"
    STAFF = "staff"
    FINDING = "finding"
    PAGE_TEXT = "page_text"
    PLAN_TEXT = "plan_text"
    SHOP = "shop"


@dataclass(frozen=True)
class Subject:
    """What something was done to, by the name that staff knows it under."""

    kind: SubjectKind
    key: str

    @classmethod
    def order(cls, public_id: str) -> Subject:
        """Return an order."""
        return cls(SubjectKind.ORDER, public_id)

    @classmethod
    def staff(cls, email: str) -> Subject:
        """Return a member of staff, or whom somebody claimed to be."""
        return cls(SubjectKind.STAFF, email)

    @classmethod
    def page_text(cls, page: PageName, code: str) -> Subject:
        """Return the text of a page in a language."""
        return cls(SubjectKind.PAGE_TEXT, f"{page.value}/{code}")

    @classmethod
    def plan_text(cls, slug: str, code: str) -> Subject:
        """Return what a plan is called in a language."""
        return cls(SubjectKind.PLAN_TEXT, f"{slug}/{code}")


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something, and from where; without `staff_id` somebody who is not signed in, or a command."""

    staff_id: int | None = None
    name: str = ""
    role: str = ""
    from_address: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, member: Staff) -> Actor:
        """Return a member of staff as they are now, wherever they are."""
        return cls().known_as(member)

    def known_as(self, member: Staff) -> Actor:
        """Return the same visitor once it is clear who of the staff it is."""
        return replace(self, staff_id=member.id, name=member.name, role=member.role.value)


# Whoever may run `flask --app app …` on the machine itself.
COMMAND = Actor(name="command", role="command")
SHOP = Subject(SubjectKind.SHOP, "shop")


def record(
    session: Session,
    action: Action,
    subject: Subject,
    *,
    by: Actor,
    now: datetime,
    before: Facts | None = None,
    after: Facts | None = None,
    note: str = "",
) -> None:
    """Write down what somebody does, inside the transaction that does it: both are there afterwards, or neither.

    `before` and `after` hold what has changed, in a few short values; amounts in minor units as `amount_minor` beside
    `currency`. Long values are cut, and activation codes are blotted out.
    """
    session.add(
        AuditEvent(
            at=now,
            staff_id=by.staff_id,
            staff_name=by.name,
            role=by.role,
            action=action.value,
            subject_kind=subject.kind.value,
            subject_key=short(subject.key, KEY_LENGTH),
            before=_small(before),
            after=_small(after),
            note=short(note, NOTE_LENGTH),
            from_address=by.from_address[:45],
            request_id=by.request_id,
        )
    )
    session.flush()


def short(text: str, length: int = VALUE_LENGTH) -> str:
    """Return a text as the audit keeps it: without activation codes, and cut with a sign that it was."""
    text = _ACTIVATION_CODE.sub("[activation code]", text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def masked(email: str) -> str:
    """Return an address so that a person who knows it recognises it, and nobody else learns it: `an…@example.com`.

    What is no address is not shown at all: people type their password into the wrong field.
    """
    name, _at, domain = email.strip().rpartition("@")
    if not name or not _DOMAIN.fullmatch(domain):
        return "(no address)"
    return f"{name[: 2 if len(name) > 3 else 1]}…@{domain.lower()}"


def _small(facts: Facts | None) -> dict[str, Value] | None:
    if facts is None:
        return None
    return {name: short(value) if isinstance(value, str) else value for name, value in facts.items()}

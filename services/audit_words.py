"""What the audit says, in words: what was done to what, and what it was before (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.audit import Action, SubjectKind
from services.money import format_money

LOCALE = "en"

ACTIONS: Mapping[Action, str] = {
    Action.SIGNED_IN: "Signed in",
    Action.SIGN_IN_REFUSED: "Was refused at the sign-in",
    Action.SIGN_IN_BLOCKED: "Tried to sign in too often",
    Action.SIGNED_OUT: "Signed out",
    Action.INVITED: "Invited a member of staff",
    Action.SET_UP: "Chose a password",
    Action.REFUND_REQUESTED: "Sent money back",
    Action.DELIVERY_RETRIED: "Retried the delivery",
    Action.DELIVERY_LOOKED_AT: "Had the delivery looked at",
    Action.DELIVERY_CLOSED: "Ended the delivery",
    Action.FINDING_SETTLED: "Marked a finding as done",
    Action.RECIPIENT_CORRECTED: "Corrected the address",
    Action.RECIPIENT_RETRIED: "Had mails sent again",
    Action.PAGE_TEXT_SAVED: "Saved the text of a page",
    Action.PAGE_TEXT_TAKEN_BACK: "Took the text of a page back",
    Action.PLAN_TEXT_SAVED: "Saved the text of a plan",
    Action.PLAN_TEXT_REMOVED: "Removed the text of a plan",
    Action.CATALOGUE_SYNCED: "Took over the supplier's plans",
    Action.SUPPLIER_CONNECTED: "Connected the supplier's webhooks",
    Action.DEMO_SEEDED: "Put the demo's accounts in",
}
SUBJECTS: Mapping[SubjectKind, str] = {
    SubjectKind.ORDER: "order",
    SubjectKind.STAFF: "member of staff",
    SubjectKind.FINDING: "finding",
    SubjectKind.PAGE_TEXT: "text of a page",
    SubjectKind.PLAN_TEXT: "text of a plan",
    SubjectKind.SHOP: "the shop",
}
# Names whose value is an amount in minor units, beside the `currency` of the same side.
_MONEY = {"amount_minor": "amount", "left_minor": "left to send back"}
NOTHING = "–"


@dataclass(frozen=True)
class Change:
    """One value that was changed, both sides as text."""

    name: str
    before: str
    after: str


def action_words(action: str) -> str:
    """Return what was done in words; an action that this release does not know is named as it is kept."""
    try:
        return ACTIONS[Action(action)]
    except ValueError:
        return action


def subject_words(kind: str) -> str:
    """Return what sort of thing it was done to in words; one that this release does not know is named as it is kept."""
    try:
        return SUBJECTS[SubjectKind(kind)]
    except ValueError:
        return kind


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Change]:
    """Return every value that is other afterwards than before; a side that has none says so by a dash."""
    old, new = _words(before or {}), _words(after or {})
    names = [*old, *(name for name in new if name not in old)]
    found = [Change(name, old.get(name, NOTHING), new.get(name, NOTHING)) for name in names]
    return [change for change in found if change.before != change.after]


def changes_in_one_line(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Return the same in one line, for a cell of a table that is no page."""
    return "; ".join(f"{change.name}: {change.before} → {change.after}" for change in changes(before, after))


def _words(facts: Mapping[str, Any]) -> dict[str, str]:
    currency = facts.get("currency")
    return {_name(name): _value(name, value, currency) for name, value in facts.items() if name != "currency"}


def _name(name: str) -> str:
    return _MONEY.get(name, name.replace("_", " "))


def _value(name: str, value: Any, currency: Any) -> str:
    if value is None or value == "":
        return NOTHING
    if name in _MONEY and isinstance(value, int) and isinstance(currency, str):
        return format_money(value, currency, LOCALE)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ") if name in ("delivery", "reason", "finding") else str(value)

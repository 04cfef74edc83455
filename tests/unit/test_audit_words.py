"""What the audit keeps of a value, and the words it tells it with."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from services.audit import VALUE_LENGTH, Action, Facts, SubjectKind, masked, short
from services.audit_log import begin_of
from services.audit_words import ACTIONS, SUBJECTS, action_words, changes, changes_in_one_line, subject_words


def test_every_action_and_every_subject_has_words_of_its_own() -> None:
    assert set(ACTIONS) == set(Action)
    assert set(SUBJECTS) == set(SubjectKind)
    assert len(set(ACTIONS.values())) == len(ACTIONS)


def test_names_fit_their_columns() -> None:
    assert max(len(action.value) for action in Action) <= 40
    assert max(len(kind.value) for kind in SubjectKind) <= 24


def test_what_an_older_or_newer_release_wrote_is_named_as_it_is() -> None:
    assert action_words("esim.melted") == "esim.melted"
    assert subject_words("esim") == "esim"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, None, ""),
        ({"role": "support"}, {"role": "owner"}, "role: support → owner"),
        ({"name": "Ann", "role": "support"}, {"name": "Ann", "role": "owner"}, "role: support → owner"),
        (None, {"name": "Ann"}, "name: – → Ann"),
        ({"name": "Ann"}, None, "name: Ann → –"),
        ({"delivery": "held", "reason": "price_changed"}, {"delivery": "waiting", "reason": ""}, ""),
        ({"characters": 12}, {"characters": None}, "characters: 12 → –"),
        ({"renewable": True}, {"renewable": False}, "renewable: yes → no"),
    ],
)
def test_changes_say_what_is_other_afterwards(before: Facts | None, after: Facts | None, told: str) -> None:
    expected = told or ("delivery: held → waiting; reason: price changed → –" if before else "")
    assert changes_in_one_line(before, after) == expected


@pytest.mark.parametrize(("currency", "told"), [("EUR", "€14.90"), ("JPY", "¥1,490")])
def test_amounts_are_told_in_their_currency(currency: str, told: str) -> None:
    """And the currency has no line of its own."""
    facts = {"amount_minor": 1490, "currency": currency}
    (change,) = changes(None, facts)
    assert (change.name, change.before, change.after) == ("amount", "–", told)


@pytest.mark.parametrize(
    ("email", "kept"),
    [
        ("anastasia@Gmail.com", "an…@gmail.com"),
        ("ana@example.com", "a…@example.com"),
        (" ana.b@mail.example.co.uk ", "an…@mail.example.co.uk"),
        ("correct horse battery", "(no address)"),
        ("p@ssword", "(no address)"),
        ("@example.com", "(no address)"),
        ("a@b.1", "(no address)"),
        ("", "(no address)"),
    ],
)
def test_an_address_is_recognised_by_who_knows_it(email: str, kept: str) -> None:
    """What is no address may be a password, typed into the wrong field."""
    assert masked(email) == kept


@pytest.mark.parametrize(
    "text",
    [
        "sent LPA:1$smdp.example.com$K2-AAAA again",
        "lpa:1$smdp.example.com$K2-AAAA$$1",
        "it is 1$smdp.example.com$K2-AAAA",
    ],
)
def test_an_activation_code_is_blotted_out(text: str) -> None:
    kept = short(text)
    assert "[activation code]" in kept
    assert "K2-AAAA" not in kept


def test_what_is_long_is_cut_and_says_so() -> None:
    assert short("x" * VALUE_LENGTH) == "x" * VALUE_LENGTH
    assert short("x" * (VALUE_LENGTH + 1)) == "x" * (VALUE_LENGTH - 1) + "…"


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (date(2026, 11, 25), datetime(2026, 11, 24, 23, tzinfo=UTC)),
        (date(2026, 7, 1), datetime(2026, 6, 30, 22, tzinfo=UTC)),
        # The nights in which the clocks are changed.
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (date(2026, 3, 30), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC)),
        (date(2026, 10, 26), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_in_monaco(day: date, begins: datetime) -> None:
    assert begin_of(day) == begins

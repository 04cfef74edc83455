"""A reminder as a calendar reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import icalendar
import pytest

from services.calendar import Reminder, write_calendar

AT = datetime(2026, 7, 14, 21, 5, 30, tzinfo=UTC)
STAMP = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
ODD = "Anna; Bo, & Cléo \\ 远遊卡 " * 6 + "\r\nsecond line\nBEGIN:VEVENT"


def make_reminder(**values: Any) -> Reminder:
    """Return a reminder; keyword arguments replace its values."""
    defaults = {
        "uid": "7Q2-end@shop.example",
        "at": AT,
        "title": "eSIM ends: Monaco 1 GB",
        "details": "Renew it before.",
        "url": "https://shop.example/en/account/esims/7Q2",
        "alarm": "Renew your eSIM.",
        "alarm_before": timedelta(days=2),
    }
    return Reminder(**{**defaults, **values})


def read_event(content: bytes) -> Any:
    """Return the one event of a calendar file, as another program reads it."""
    calendar = icalendar.Calendar.from_ical(content)
    [event] = calendar.walk("VEVENT")
    assert not calendar.errors
    assert not event.errors
    return event


def test_a_calendar_reads_what_was_written() -> None:
    event = read_event(write_calendar(make_reminder(), STAMP))

    assert (event["UID"], event["SUMMARY"]) == ("7Q2-end@shop.example", "eSIM ends: Monaco 1 GB")
    assert (event.decoded("DTSTART"), event.decoded("DTSTAMP")) == (AT, STAMP)
    assert event["URL"] == "https://shop.example/en/account/esims/7Q2"
    [alarm] = event.walk("VALARM")
    assert (alarm["ACTION"], alarm["DESCRIPTION"]) == ("DISPLAY", "Renew your eSIM.")
    assert alarm.decoded("TRIGGER") == timedelta(days=-2)


def test_times_are_written_in_utc() -> None:
    monaco = timezone(timedelta(hours=2))
    content = write_calendar(make_reminder(at=AT.astimezone(monaco)), STAMP.astimezone(monaco))

    assert b"\r\nDTSTART:20260714T210530Z\r\n" in content
    assert b"\r\nDTSTAMP:20260701T080000Z\r\n" in content


@pytest.mark.parametrize("name", ["title", "details", "alarm"])
def test_any_text_stays_one_text(name: str) -> None:
    """No line is longer than 75 octets, no character is split, nothing in a text ends it."""
    content = write_calendar(make_reminder(**{name: ODD}), STAMP)

    assert content.endswith(b"END:VCALENDAR\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    lines = content.removesuffix(b"\r\n").split(b"\r\n")
    assert max(len(line) for line in lines) <= 75
    assert "".join(line.decode() for line in lines)
    event = read_event(content)
    texts = {
        "title": event["SUMMARY"],
        "details": event["DESCRIPTION"],
        "alarm": event.walk("VALARM")[0]["DESCRIPTION"],
    }
    assert texts[name] == ODD.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("before", "written"),
    [(timedelta(days=2), "-P2D"), (timedelta(hours=5), "-PT5H0M"), (timedelta(hours=49, minutes=30), "-PT49H30M")],
)
def test_the_alarm_may_be_any_time_before(before: timedelta, written: str) -> None:
    content = write_calendar(make_reminder(alarm_before=before), STAMP)

    assert f"\r\nTRIGGER:{written}\r\n".encode() in content
    assert read_event(content).walk("VALARM")[0].decoded("TRIGGER") == -before

"""Reminders as calendar files (RFC 5545); values in, bytes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PRODUCT = "-//Monaco travel card//Reminders//EN"
# A content line holds no more octets than this, without its line break (RFC 5545, section 3.1).
LINE_OCTETS = 75


@dataclass(frozen=True, kw_only=True)
class Reminder:
    """A moment (UTC) with an alarm so long before it; `uid` stays the same when the moment moves."""

    uid: str
    at: datetime
    title: str
    details: str
    url: str
    alarm: str
    alarm_before: timedelta


def write_calendar(reminder: Reminder, stamp: datetime) -> bytes:
    """Return a calendar file with one event that takes no time and keeps nobody busy, made at `stamp` (UTC)."""
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{PRODUCT}",
        "CALSCALE:GREGORIAN",
        "BEGIN:VEVENT",
        f"UID:{_text(reminder.uid)}",
        f"DTSTAMP:{_moment(stamp)}",
        f"DTSTART:{_moment(reminder.at)}",
        f"SUMMARY:{_text(reminder.title)}",
        f"DESCRIPTION:{_text(reminder.details)}",
        f"URL:{reminder.url}",
        "TRANSP:TRANSPARENT",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        f"DESCRIPTION:{_text(reminder.alarm)}",
        f"TRIGGER:{_before(reminder.alarm_before)}",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
    )
    return b"".join(part + b"\r\n" for line in lines for part in _folded(line))


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _before(duration: timedelta) -> str:
    """Return a duration before the event (RFC 5545, section 3.3.6)."""
    hours, rest = divmod(int(duration.total_seconds()) // 60, 60)
    return f"-P{hours // 24}D" if not rest and hours % 24 == 0 else f"-PT{hours}H{rest}M"


def _text(value: str) -> str:
    """Return a text value with what would end it escaped (RFC 5545, section 3.3.11)."""
    value = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join(value.splitlines())


def _folded(line: str) -> Iterator[bytes]:
    """Yield a line in parts of at most LINE_OCTETS; all but the first begin with a space, none splits a character."""
    part = b""
    for character in line:
        octets = character.encode()
        if len(part) + len(octets) > LINE_OCTETS:
            yield part
            part = b" "
        part += octets
    yield part

"""Handing a mail over by SMTP."""

from __future__ import annotations

import smtplib
from contextlib import suppress
from email.message import EmailMessage
from typing import Protocol

from config import SmtpSettings

TIMEOUT_SECONDS = 20


class MailRefused(Exception):
    """The mail server refused this mail for good (a 5xx answer; RFC 5321, section 4.2.1)."""


class MailDelayed(Exception):
    """The mail server could not take the mail now; it may be offered again."""


class Transport(Protocol):
    """A way out for mail."""

    def send(self, message: EmailMessage) -> None:
        """Hand `message` over; raises MailRefused or MailDelayed."""
        ...


class SmtpTransport:
    """Mail by SMTP, one connection per mail."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    def send(self, message: EmailMessage) -> None:
        """Hand `message` over; raises MailRefused or MailDelayed."""
        settings = self._settings
        try:
            server = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_SECONDS)
            try:
                if settings.starttls:
                    server.starttls()
                if settings.user:
                    server.login(settings.user, settings.password)
                server.send_message(message)
            finally:
                _hang_up(server)
        except smtplib.SMTPRecipientsRefused as error:
            code = max(code for code, _text in error.recipients.values())
            raise _refusal(code, "recipient refused") from error
        except smtplib.SMTPResponseException as error:
            raise _refusal(error.smtp_code, str(error.smtp_code)) from error
        except (OSError, smtplib.SMTPException) as error:
            raise MailDelayed(type(error).__name__) from error


def _hang_up(server: smtplib.SMTP) -> None:
    """End the connection; what goes wrong now changes nothing about a mail that was accepted or refused before."""
    with suppress(OSError, smtplib.SMTPException):
        server.quit()
    server.close()


def _refusal(code: int, reason: str) -> Exception:
    return MailRefused(reason) if 500 <= code < 600 else MailDelayed(reason)

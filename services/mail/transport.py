"""Handing a mail over by SMTP."""

from __future__ import annotations

import re
import smtplib
import time
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from typing import Any, Protocol

from config import SmtpSettings

# How long the server may take for one answer, and for all answers before it is given the mail.
TIMEOUT_SECONDS = 20
PRELIMINARIES_SECONDS = 60
# Giving up while the server has the mail sends it twice (RFC 5321, section 4.5.3.2.6), and servers scan what they get.
DATA_SECONDS = 60
QUIT_SECONDS = 5
# After this time nobody hands the mail over any more: it is asked for, sent and answered, each in DATA_SECONDS.
LONGEST = timedelta(seconds=PRELIMINARIES_SECONDS + 3 * DATA_SECONDS + QUIT_SECONDS)
PERMANENT = 500
# "Exceeded storage allocation": people empty their mailboxes.
MAILBOX_FULL = 552
# What a refusal is about (RFC 3463, section 2); the words behind it are not kept, because they name the reader.
_STATUS = re.compile(rb"5\.(\d{1,3})\.\d{1,3}(?=\s|$)")
# The server, the way, the protocol, the shop's rights: a reader who is refused for these will be taken once they are
# mended ("5.7.1 relaying denied").
_NOT_THE_READERS = (b"3", b"4", b"5", b"7")


class MailRefused(Exception):
    """The mail server refused the reader or the text of a mail for good (a 5xx answer; RFC 5321, section 4.2.1)."""


class MailDelayed(Exception):
    """The mail server could not take the mail now; it may be offered again."""


class MailServerAway(MailDelayed):
    """Nobody answers where the mail server should be."""


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
        """Hand `message` over within LONGEST; raises MailRefused or MailDelayed.

        Whatever the server holds against the shop, such as a wrong password, delays a mail and does not end it.
        """
        try:
            server = self._connect()
            try:
                self._introduce(server)
                server.send_message(message)
            finally:
                _hang_up(server)
        except smtplib.SMTPRecipientsRefused as error:
            raise _judge_reader(*max(error.recipients.values())) from error
        except smtplib.SMTPDataError as error:
            raise _judge_text(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPResponseException as error:
            raise MailDelayed(f"{error.smtp_code} {type(error).__name__}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise MailDelayed(type(error).__name__) from error

    def _connect(self) -> _Connection:
        try:
            return _Connection(self._settings.host, self._settings.port, timeout=TIMEOUT_SECONDS)
        except (OSError, smtplib.SMTPException) as error:
            raise MailServerAway(type(error).__name__) from error

    def _introduce(self, server: _Connection) -> None:
        if self._settings.starttls:
            server.starttls()
        if self._settings.user:
            server.login(self._settings.user, self._settings.password)


class _Connection(smtplib.SMTP):
    """A connection that is in a hurry until the server has been given the mail, and patient from then on."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._began = time.monotonic()
        super().__init__(host, port, timeout=timeout)

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Give the server the mail and return its answer; raises TimeoutError before that when it is too late."""
        if time.monotonic() - self._began > PRELIMINARIES_SECONDS:
            # The lease on the mail may end while it is handed over, and somebody else would send it as well.
            raise TimeoutError("the server was too slow to be given the mail")
        assert self.sock is not None
        self.sock.settimeout(DATA_SECONDS)
        return super().data(msg)


def _hang_up(server: smtplib.SMTP) -> None:
    """End the connection; what goes wrong now changes nothing about a mail that was accepted or refused before."""
    with suppress(OSError, smtplib.SMTPException):
        if server.sock is not None:
            server.sock.settimeout(QUIT_SECONDS)
        server.quit()
    server.close()


def _judge_reader(code: int, words: bytes) -> MailRefused | MailDelayed:
    status = _STATUS.match(words)
    said = f"{_say(code, status)} recipient refused"
    mendable = code == MAILBOX_FULL or (status is not None and status[1] in _NOT_THE_READERS)
    return MailRefused(said) if code >= PERMANENT and not mendable else MailDelayed(said)


def _judge_text(code: int, words: bytes | str) -> MailRefused | MailDelayed:
    said = _say(code, _STATUS.match(words if isinstance(words, bytes) else words.encode()))
    return MailRefused(said) if code >= PERMANENT and code != MAILBOX_FULL else MailDelayed(said)


def _say(code: int, status: re.Match[bytes] | None) -> str:
    return f"{code} {status[0].decode()}" if status else str(code)

"""What a mail server says and what that means for a mail, over real SMTP; and what a stall or a lost answer means."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import pytest

from config import SmtpSettings
from services.mail import transport
from services.mail.transport import MailDelayed, MailRefused, MailServerAway, SmtpTransport

GREETING = "220 mail.example"
ANSWERS = {"EHLO": "250 mail.example", "MAIL": "250 OK", "RCPT": "250 OK", "DATA": "354 go on", ".": "250 kept"}


class Server:
    """One SMTP server for one conversation: what it answers to each command, and how it ends."""

    def __init__(self, answers: dict[str, str], hang_up_at: str, wait_at: str, released: threading.Event) -> None:
        self.answers = {**ANSWERS, **answers}
        self.hang_up_at, self.wait_at, self.released = hang_up_at, wait_at, released
        self.commands: list[str] = []
        self.mails = 0

    def talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as lines:
            self._say(lines, self.answers.get("greeting", GREETING))
            in_mail = False
            for line in lines:
                text = line.decode().rstrip("\r\n")
                command = "." if in_mail and text == "." else text[:4].upper()
                if in_mail and command != ".":
                    continue
                self.commands.append(command)
                self.mails += command == "."
                if command == self.hang_up_at:
                    return
                if command == self.wait_at:
                    self.released.wait(10)
                answer = self.answers.get(command, "250 OK" if command == "RSET" else "221 bye")
                in_mail = command == "DATA" and answer.startswith("354")
                self._say(lines, answer)

    def _say(self, lines: object, answer: str) -> None:
        lines.write(answer.encode() + b"\r\n")  # type: ignore[attr-defined]
        lines.flush()  # type: ignore[attr-defined]


def way_to(port: int, user: str = "") -> SmtpTransport:
    return SmtpTransport(
        SmtpSettings(host="127.0.0.1", port=port, starttls=False, user=user, password="secret", mail_from="a@b.mc")
    )


@contextmanager
def serving(
    hang_up_at: str = "", wait_at: str = "", user: str = "", **answers: str
) -> Iterator[tuple[Server, SmtpTransport]]:
    """Give a server that answers as told, and the shop's way to it."""
    released = threading.Event()
    server = Server(
        {{"DOT": "."}.get(name, name): answer for name, answer in answers.items()}, hang_up_at, wait_at, released
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: server.talk(listener.accept()[0]), daemon=True)
        thread.start()
        yield server, way_to(listener.getsockname()[1], user)
        released.set()
        thread.join(10)


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@shop.example", "buyer@example.org", "Receipt"
    mail.set_content("SECRET-CODE\n")
    return mail


@pytest.mark.parametrize(
    ("step", "answer", "kind", "reason"),
    [
        ("RCPT", "550 5.1.1 <buyer@example.org>: no such user", MailRefused, "550 5.1.1 recipient refused"),
        ("RCPT", "550 no such user buyer@example.org", MailRefused, "550 recipient refused"),
        ("RCPT", "553 5.1.3 bad address", MailRefused, "553 5.1.3 recipient refused"),
        ("RCPT", "450 4.2.0 greylisted", MailDelayed, "450 recipient refused"),
        ("RCPT", "421 4.3.2 shutting down", MailDelayed, "421 recipient refused"),
        ("RCPT", "552 5.2.2 mailbox full", MailDelayed, "552 5.2.2 recipient refused"),
        ("RCPT", "554 5.7.1 relay access denied", MailDelayed, "554 5.7.1 recipient refused"),
        ("RCPT", "530 5.7.0 authentication required", MailDelayed, "530 5.7.0 recipient refused"),
        ("MAIL", "550 5.7.1 sender not allowed", MailDelayed, "550 SMTPSenderRefused"),
        ("DATA", "554 5.7.1 not wanted", MailRefused, "554 5.7.1"),
        ("DATA", "451 4.3.0 later", MailDelayed, "451"),
        ("DOT", "550 5.7.1 looks like spam", MailRefused, "550 5.7.1"),
        ("DOT", "451 4.7.1 later", MailDelayed, "451"),
        ("DOT", "552 5.2.2 mailbox full", MailDelayed, "552 5.2.2"),
    ],
)
def test_only_its_reader_and_its_text_end_a_mail(step: str, answer: str, kind: type[Exception], reason: str) -> None:
    with serving(**{step: answer}) as (server, smtp), pytest.raises((MailRefused, MailDelayed)) as caught:
        smtp.send(message())
    assert (type(caught.value), str(caught.value)) == (kind, reason)
    assert server.mails == (step == "DOT")


def test_what_a_server_says_about_its_reader_is_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = "550 5.1.1 buyer@example.org is unknown here"
    with serving(RCPT=answer) as (_server, smtp), pytest.raises(MailRefused) as caught:
        smtp.send(message())
    assert "buyer" not in f"{caught.value} {caplog.text}"


def test_a_wrong_password_delays_a_mail() -> None:
    ehlo = "250-mail.example\r\n250 AUTH PLAIN"
    with serving(user="shop", EHLO=ehlo, AUTH="535 5.7.8 wrong") as (server, smtp), pytest.raises(MailDelayed):
        smtp.send(message())
    assert server.mails == 0


@pytest.mark.parametrize("greeting", ["554 no service here", "421 too busy", "220"])
def test_a_server_that_lets_nobody_in_is_away(greeting: str) -> None:
    with serving(greeting=greeting) as (server, smtp):
        if greeting == "220":
            smtp.send(message())
            return
        with pytest.raises(MailServerAway):
            smtp.send(message())
    assert server.mails == 0


def test_a_port_where_nobody_listens_is_a_server_that_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MailServerAway, match="ConnectionRefusedError"):
        way_to(port).send(message())


@pytest.mark.parametrize("hang_up_at", ["EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_conversation_that_breaks_off_delays_a_mail(hang_up_at: str) -> None:
    """Also after the mail was handed over: whether it was kept nobody knows, and losing it would be worse."""
    with serving(hang_up_at=hang_up_at) as (server, smtp), pytest.raises(MailDelayed):
        smtp.send(message())
    assert server.commands[-1] == hang_up_at


def test_a_goodbye_that_fails_changes_nothing() -> None:
    with serving(hang_up_at="QUIT") as (server, smtp):
        smtp.send(message())
    assert server.mails == 1


def test_a_slow_answer_to_the_mail_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that scans a mail has it already: giving up on its answer would send the mail twice."""
    monkeypatch.setattr(transport, "TIMEOUT_SECONDS", 0.2)
    with serving(wait_at=".") as (server, smtp):
        threading.Timer(0.6, server.released.set).start()
        smtp.send(message())
    assert server.mails == 1


def test_a_server_that_was_slow_before_is_not_given_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease on the mail might end while it is handed over, and somebody else would hand it over as well."""
    monkeypatch.setattr(transport, "PRELIMINARIES_SECONDS", 0.2)
    with serving(wait_at="RCPT") as (server, smtp):
        threading.Timer(0.4, server.released.set).start()
        with pytest.raises(MailDelayed, match="TimeoutError"):
            smtp.send(message())
    assert server.mails == 0
    assert "DATA" not in server.commands


def test_a_server_that_says_nothing_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT_SECONDS", 0.2)
    with serving(wait_at="MAIL") as (server, smtp), pytest.raises(MailDelayed):
        smtp.send(message())
    assert server.mails == 0

"""The outbox: one mail per subject and kind, one sender at a time, tries for two days, over real SMTP."""

from __future__ import annotations

import logging
import socket
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from models import Mail, MailStatus, db
from services.mail import outbox
from services.mail.outbox import Picture
from services.mail.transport import LONGEST, MailDelayed, MailRefused, MailServerAway, SmtpTransport
from tests.services.mail_world import NOW, Letterbox, MailWorld, open_shop

PNG = b64encode(b"\x89PNG\r\n\x1a\nfour").decode()


class Server:
    """A mail server that answers as it is told."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.taken: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        if self.answer.startswith("250"):
            self.taken.append(message)
        return self.answer


@pytest.fixture
def box() -> Letterbox:
    return Letterbox()


@pytest.fixture
def world(tmp_path: Path, box: Letterbox) -> Iterator[MailWorld]:
    opened = open_shop(tmp_path, box)
    with opened.app.app_context():
        yield opened


@pytest.fixture
def server() -> Iterator[tuple[Server, int]]:
    handler = Server()
    # The controller connects to itself when it starts, so it cannot let the system choose the port.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def queue(world: MailWorld, kind: str = "receipt", subject: str = "Réçu 收据") -> int | None:
    with world.shop.transaction():
        return outbox.queue(
            world.shop,
            kind=kind,
            subject_key="order:1",
            recipient="buyer@example.org",
            language="zh-hans",
            subject=subject,
            text="Grüße SECRET-CODE\n",
            html='<p>Grüße SECRET-CODE</p><img src="cid:qr@esim">',
            pictures=[Picture(id="qr@esim", name="esim-qr.png", base64=PNG)],
        )


def queue_one(world: MailWorld) -> int:
    mail_id = queue(world)
    assert mail_id is not None
    return mail_id


def read(mail_id: int) -> Mail:
    db.session.rollback()
    return db.session.get_one(Mail, mail_id, populate_existing=True)


def test_a_queued_mail_knocks_after_its_commit(world: MailWorld) -> None:
    mail_id = queue_one(world)

    assert world.knocks == [("send_mail", mail_id)]
    assert outbox.due(world.shop) == [mail_id]


def test_a_second_mail_of_its_kind_is_ignored(world: MailWorld) -> None:
    mail_id = queue_one(world)

    assert queue(world, subject="another") is None
    assert world.knocks == [("send_mail", mail_id)]
    assert read(mail_id).subject == "Réçu 收据"
    assert queue(world, kind="esim-ready") is not None


def test_a_mail_of_a_transaction_that_fails_does_not_exist(world: MailWorld) -> None:
    def fail_after_queueing() -> None:
        with world.shop.transaction():
            outbox.queue(
                world.shop, kind="a", subject_key="b", recipient="c@d.org", language="en", subject="", text="", html=""
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_queueing()

    assert outbox.due(world.shop) == []
    assert world.knocks == []


def test_a_mail_leaves_by_smtp_and_its_bodies_are_emptied(world: MailWorld, server: tuple[Server, int]) -> None:
    handler, port = server
    settings = replace(world.shop.settings.smtp, port=port)
    shop = replace(world.shop, transport=SmtpTransport(settings))
    mail_id = queue_one(world)

    assert outbox.send(shop, mail_id)

    (message,) = handler.taken
    assert message["Subject"] == "Réçu 收据"
    assert message["From"] == "Monaco travel card <shop@shop.example>"
    assert message["To"] == "buyer@example.org"
    assert message["Date"] == "Sun, 22 Nov 2026 14:09:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "zh-Hans"
    assert message["Message-ID"].endswith("@shop.example>")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
    ]
    inline, attached = [part for part in message.walk() if part.get_content_type() == "image/png"]
    assert inline["Content-ID"] == "<qr@esim>"
    assert (attached.get_content_disposition(), attached.get_filename()) == ("attachment", "esim-qr.png")
    text = message.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Grüße SECRET-CODE"]
    mail = read(mail_id)
    assert (mail.status, mail.sent_at, mail.tries) == (MailStatus.SENT, NOW, 1)
    assert (mail.text_body, mail.html_body, mail.pictures) == ("", "", [])
    assert outbox.due(shop) == []
    assert not outbox.send(shop, mail_id)
    assert len(handler.taken) == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [("451 later", MailStatus.QUEUED), ("550 no such mailbox", MailStatus.FAILED)],
)
def test_the_server_decides_whether_a_mail_is_tried_again(
    world: MailWorld, server: tuple[Server, int], answer: str, status: MailStatus
) -> None:
    handler, port = server
    handler.answer = answer
    shop = replace(world.shop, transport=SmtpTransport(replace(world.shop.settings.smtp, port=port)))
    mail_id = queue_one(world)

    assert not outbox.send(shop, mail_id)

    mail = read(mail_id)
    assert (mail.status, mail.error) == (status, answer[:3])
    assert mail.text_body


def test_a_server_that_is_away_is_tried_again(world: MailWorld) -> None:
    shop = replace(world.shop, transport=SmtpTransport(world.shop.settings.smtp))  # nothing listens on port 1
    mail_id = queue_one(world)

    assert not outbox.send(shop, mail_id)
    assert read(mail_id).status is MailStatus.QUEUED


def test_a_server_that_is_away_is_called_every_five_minutes(world: MailWorld, box: Letterbox) -> None:
    """One that answers "later" is left in peace for up to an hour; travellers wait for one that comes back."""
    mail_id = queue_one(world)
    pauses = []
    for _try in range(6):
        box.troubles = [MailServerAway("ConnectionRefusedError")]
        assert not outbox.send(world.shop, mail_id)
        next_try_at = read(mail_id).next_try_at
        assert next_try_at is not None
        pauses.append(int((next_try_at - world.clock.now()).total_seconds() // 60))
        world.clock.move(next_try_at - world.clock.now())

    assert pauses == [1, 2, 5, 5, 5, 5]


def test_no_transaction_is_open_while_a_mail_leaves(world: MailWorld, box: Letterbox) -> None:
    outbox.send(world.shop, queue_one(world))

    assert box.transactions == [False]


def test_the_pauses_grow_to_an_hour_for_two_days(world: MailWorld, box: Letterbox) -> None:
    mail_id = queue_one(world)
    pauses = []
    while outbox.due(world.shop):
        box.troubles = [MailDelayed("451")]
        assert not outbox.send(world.shop, mail_id)
        next_try_at = read(mail_id).next_try_at
        if next_try_at is not None:
            pauses.append(int((next_try_at - world.clock.now()).total_seconds() // 60))
            world.clock.move(next_try_at - world.clock.now())

    assert pauses[:8] == [1, 2, 5, 15, 30, 60, 60, 60]
    assert sum(pauses) >= 48 * 60
    mail = read(mail_id)
    assert (mail.status, mail.error) == (MailStatus.FAILED, "451")


def test_a_mail_is_not_tried_before_its_pause_is_over(world: MailWorld, box: Letterbox) -> None:
    mail_id = queue_one(world)
    box.troubles = [MailDelayed("451")]
    outbox.send(world.shop, mail_id)

    assert outbox.due(world.shop) == []
    assert not outbox.send(world.shop, mail_id)
    world.clock.move(timedelta(minutes=1))
    assert outbox.send(world.shop, mail_id)


def test_a_refused_mail_is_not_tried_again(world: MailWorld, box: Letterbox) -> None:
    mail_id = queue_one(world)
    box.troubles = [MailRefused("550")]

    assert not outbox.send(world.shop, mail_id)
    world.clock.move(timedelta(days=1))
    assert outbox.due(world.shop) == []
    assert not outbox.send(world.shop, mail_id)


def test_a_lease_keeps_a_second_sender_away_until_it_ends(world: MailWorld, box: Letterbox) -> None:
    """A worker that dies between the server's yes and its own note leads to a second mail, with the same Message-ID."""
    mail_id = queue_one(world)

    class DyingBox(Letterbox):
        def send(self, message: EmailMessage) -> None:
            super().send(message)
            assert outbox.due(world.shop) == []
            assert not outbox.send(world.shop, mail_id)
            raise KeyboardInterrupt

    dying = DyingBox()
    with pytest.raises(KeyboardInterrupt):
        outbox.send(replace(world.shop, transport=dying), mail_id)
    assert read(mail_id).status is MailStatus.SENDING

    world.clock.move(outbox.LEASE - timedelta(seconds=1))
    assert not outbox.send(world.shop, mail_id)
    world.clock.move(timedelta(seconds=1))
    assert outbox.due(world.shop) == [mail_id]
    assert outbox.send(world.shop, mail_id)

    assert box.messages[0]["Message-ID"] == dying.messages[0]["Message-ID"]
    assert box.messages[0]["Date"] == dying.messages[0]["Date"]
    assert read(mail_id).tries == 2


def test_a_lease_outlasts_the_slowest_server() -> None:
    assert outbox.LEASE > LONGEST


def test_who_lost_the_lease_does_not_judge_the_mail(world: MailWorld, box: Letterbox) -> None:
    mail_id = queue_one(world)

    class SlowBox(Letterbox):
        def send(self, message: EmailMessage) -> None:
            world.clock.move(outbox.LEASE)
            assert outbox.send(world.shop, mail_id)
            raise MailRefused("550")

    outbox.send(replace(world.shop, transport=SlowBox()), mail_id)

    assert read(mail_id).status is MailStatus.SENT
    assert len(box.messages) == 1


def test_a_mail_that_breaks_the_transport_waits_too(world: MailWorld, box: Letterbox) -> None:
    mail_id = queue_one(world)
    box.troubles = [ValueError("SECRET-CODE")]

    with pytest.raises(ValueError, match="SECRET"):
        outbox.send(world.shop, mail_id)

    mail = read(mail_id)
    assert (mail.status, mail.error) == (MailStatus.QUEUED, "ValueError")
    assert outbox.due(world.shop) == []


def test_nothing_of_a_mail_reaches_the_log(world: MailWorld, box: Letterbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    mail_id = queue_one(world)
    box.troubles = [MailDelayed("451")]
    outbox.send(world.shop, mail_id)
    world.clock.move(timedelta(minutes=1))
    outbox.send(world.shop, mail_id)

    assert "SECRET-CODE" not in caplog.text
    assert "buyer@example.org" not in caplog.text
    assert f"mail {mail_id} (receipt) sent at try 2" in caplog.text

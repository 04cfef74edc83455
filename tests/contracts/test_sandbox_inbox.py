"""The mailbox: what a mail program sends is what a person, and a test, can read; and it can misbehave."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage

import httpx
import pytest

from sandbox.inbox import Inbox
from sandbox.server import Sandbox

PIXEL = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.inbox.clear()
    running.inbox.server.behave()
    return running


@pytest.fixture
def inbox(sandbox: Sandbox) -> Inbox:
    return sandbox.inbox


def mail(to: str = "guest@example.com", subject: str = "Your eSIM is ready") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Shop <shop@example.com>", to, subject
    message.set_content("Bonjour à Monaco: https://shop.example/e/1\n")
    message.add_alternative(
        '<html><head></head><body><img src="cid:code"><a href="/e/1">À bientôt</a></body></html>', subtype="html"
    )
    parts = message.get_payload()
    assert isinstance(parts, list)
    html = parts[1]
    assert isinstance(html, EmailMessage)
    html.add_related(PIXEL, "image", "png", cid="<code>", filename="code.png")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="invoice 1.pdf")
    return message


def send(inbox: Inbox, message: EmailMessage | None = None) -> None:
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port, timeout=5) as client:
        client.send_message(message or mail())


def test_text_html_and_attachments(inbox: Inbox) -> None:
    send(inbox)
    [message] = inbox.messages(to="Guest@example.com")
    assert message.subject == "Your eSIM is ready"
    assert message.recipients == ["guest@example.com"]
    assert message.header("from") == "Shop <shop@example.com>"
    assert message.text == "Bonjour à Monaco: https://shop.example/e/1\n"
    assert "À bientôt" in message.html
    assert [(part.filename, part.content_type) for part in message.attachments] == [
        ("code.png", "image/png"),
        ("invoice 1.pdf", "application/pdf"),
    ]
    assert message.attachments[0].content == PIXEL


def test_waiting_for_a_mail(inbox: Inbox) -> None:
    with pytest.raises(TimeoutError):
        inbox.wait_for("guest@example.com", "ready", timeout=0.01)
    sender = threading.Thread(target=send, args=(inbox,))
    sender.start()
    assert inbox.wait_for("guest@example.com", "esim is READY", timeout=5).subject == "Your eSIM is ready"
    sender.join()
    send(inbox, mail(subject="Reminder"))
    assert inbox.wait_for("guest@example.com").subject == "Reminder"
    inbox.clear()
    assert inbox.messages() == []


def test_pages(sandbox: Sandbox, inbox: Inbox) -> None:
    send(inbox)
    send(inbox, mail(to="other@example.com", subject="<b>Second</b>"))
    first, second = inbox.messages()
    with httpx.Client(base_url=sandbox.url) as client:
        listing = client.get("/inbox/").text
        assert listing.index("&lt;b&gt;Second") < listing.index("Your eSIM is ready")
        assert "Your eSIM" not in client.get("/inbox/", params={"to": "other@example.com"}).text
        page = client.get(f"/inbox/{first.id}").text
        assert 'sandbox="allow-popups allow-top-navigation-by-user-activation"' in page
        assert 'href="https://shop.example/e/1"' in page
        assert "invoice 1.pdf" in page
        html = client.get(f"/inbox/{first.id}/html")
        assert "default-src 'none'" in html.headers["content-security-policy"]
        assert '<head><base target="_top"></head>' in html.text
        assert f'src="/inbox/{first.id}/part/1"' in html.text
        assert client.get(f"/inbox/{first.id}/part/1").content == PIXEL
        pdf = client.get(f"/inbox/{first.id}/part/2")
        assert pdf.headers["content-disposition"] == 'attachment; filename="invoice_1.pdf"'
        assert client.get(f"/inbox/{second.id}/source").content == second.raw
        assert client.get("/inbox/999").status_code == client.get(f"/inbox/{first.id}/part/9").status_code == 404


def test_messages_as_json(sandbox: Sandbox, inbox: Inbox) -> None:
    send(inbox)
    url = f"{sandbox.url}/_control/inbox/messages"
    [message] = httpx.get(url, params={"to": "guest@example.com", "subject": "esim"}).json()
    assert (message["to"], message["attachments"][1]["size"]) == (["guest@example.com"], 8)
    assert httpx.get(url, params={"subject": "invoice"}).json() == []
    httpx.delete(url)
    assert httpx.get(url).json() == []


@pytest.mark.parametrize(("kind", "code"), [("temporary", 451), ("permanent", 550)])
def test_refused_recipient(inbox: Inbox, kind: str, code: int) -> None:
    inbox.server.refuse(1, kind)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(inbox)
    assert refused.value.recipients["guest@example.com"][0] == code
    assert inbox.messages() == []
    send(inbox)
    assert len(inbox.messages()) == 1


def test_refused_data(inbox: Inbox) -> None:
    inbox.server.refuse(1, "temporary", "data")
    with pytest.raises(smtplib.SMTPDataError):
        send(inbox)
    assert inbox.messages() == []


@pytest.mark.parametrize(("when", "kept"), [("after", 1), ("before", 0)])
def test_dropped_connection(sandbox: Sandbox, inbox: Inbox, when: str, kept: int) -> None:
    httpx.post(f"{sandbox.url}/_control/inbox/drop", json={"count": 1, "when": when})
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(inbox)
    assert len(inbox.messages()) == kept
    send(inbox)
    assert len(inbox.messages()) == kept + 1


def test_trouble_at_random(sandbox: Sandbox, inbox: Inbox) -> None:
    """What was kept is in the mailbox, whatever its sender was told."""

    def outcomes() -> list[str]:
        inbox.clear()
        inbox.server.chaos(0.5, seed=4)
        found = []
        for _ in range(30):
            before = len(inbox.summaries())
            try:
                send(inbox)
                answer = "accepted"
            except smtplib.SMTPServerDisconnected:
                answer = "dropped"
            except smtplib.SMTPDataError as error:
                answer = str(error.smtp_code)
            found.append(f"{answer}, kept {len(inbox.summaries()) - before}")
        return found

    before = inbox.server.met()
    first = outcomes()
    assert outcomes() == first
    assert set(first) == {"accepted, kept 1", "dropped, kept 0", "dropped, kept 1", "451, kept 0"}
    met = {kind: count - before.get(kind, 0) for kind, count in inbox.server.met().items()}
    assert met["drop_before"] == 2 * first.count("dropped, kept 0")
    assert met["drop_after"] == 2 * first.count("dropped, kept 1")
    assert met["temporary"] == 2 * first.count("451, kept 0")
    inbox.server.chaos(0)
    send(inbox)


def test_server_down_and_up_again(sandbox: Sandbox, inbox: Inbox) -> None:
    port = inbox.smtp_port
    httpx.post(f"{sandbox.url}/_control/inbox/down")
    with pytest.raises(ConnectionRefusedError):
        send(inbox)
    httpx.post(f"{sandbox.url}/_control/inbox/up")
    assert inbox.smtp_port == port
    send(inbox)
    assert len(inbox.messages()) == 1


def test_controls_refuse_nonsense(sandbox: Sandbox) -> None:
    base = f"{sandbox.url}/_control/inbox"
    assert httpx.post(f"{base}/refuse", json={"count": 1, "kind": "rude"}).status_code == 400
    assert httpx.post(f"{base}/refuse", json={"number": 1}).status_code == 400
    assert httpx.post(f"{base}/explode").status_code == 404

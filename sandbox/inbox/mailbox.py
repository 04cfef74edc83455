"""The handle of the mailbox: what arrived, and what the server does with the next mail."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from flask import Blueprint

from sandbox.inbox.message import Message, decode_raw, encode_raw, parse
from sandbox.inbox.pages import blueprint
from sandbox.inbox.smtp import SmtpServer
from sandbox.store import Document, Store


class Inbox:
    """Every mail sent to the SMTP server at 127.0.0.1, whoever it was for; `server` is what can misbehave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Apart from the mails themselves, so that listing thousands does not decode them all.
        self._summaries = store.collection("inbox.messages")
        self._mails = store.collection("inbox.raw")
        self._arrived = threading.Condition(store.lock)
        self._last = max((int(summary["id"]) for summary in self._summaries), default=0)
        self.server = SmtpServer(self._receive)

    def start(self, port: int = 0) -> None:
        """Listen for SMTP on 127.0.0.1; 0 takes a free port; raises OSError when `port` is taken."""
        self.server.up(port)

    def stop(self) -> None:
        """Stop listening; the mails stay."""
        self.server.down()

    @property
    def smtp_port(self) -> int:
        """Return the port, also while the server is down."""
        return self.server.port

    def blueprint(self) -> Blueprint:
        """Return the pages under /inbox/ and the controls under /_control/inbox."""
        return blueprint(self)

    def summaries(self, to: str | None = None, subject: str | None = None) -> list[Document]:
        """Return `id`, `received_at`, `to` and `subject` of mails, oldest first.

        `to` is a whole address in any case, `subject` a part of the subject in any case.
        """
        return [
            summary
            for summary in self._summaries
            if (not to or to.lower() in [each.lower() for each in summary["to"]])
            and (not subject or subject.lower() in summary["subject"].lower())
        ]

    def messages(self, to: str | None = None, subject: str | None = None) -> list[Message]:
        """Return mails, oldest first, filtered as `summaries`."""
        found = (self.message(summary["id"]) for summary in self.summaries(to, subject))
        return [message for message in found if message is not None]

    def message(self, identifier: str) -> Message | None:
        """Return one mail, or None."""
        kept = self._mails.get(identifier)
        if kept is None:
            return None
        return parse(identifier, kept["received_at"], kept["from"], kept["to"], decode_raw(kept["raw"]))

    def wait_for(self, to: str, subject_contains: str = "", timeout: float = 10.0) -> Message:
        """Return the latest mail to `to` whose subject contains a text, waiting for it to arrive.

        Raises TimeoutError after `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.summaries(to, subject_contains), timeout):
                raise TimeoutError(f"no mail to {to} about {subject_contains!r}")
            return self.messages(to, subject_contains)[-1]

    def clear(self) -> None:
        """Forget every mail; numbers are not used again."""
        with self._store.lock:
            for summary in self._summaries.all():
                self._summaries.remove(summary["id"])
                self._mails.remove(summary["id"])

    def _receive(self, sender: str, recipients: list[str], raw: bytes) -> None:
        with self._arrived:
            self._last += 1
            identifier, received_at = str(self._last), datetime.now(UTC).isoformat(timespec="seconds")
            message = parse(identifier, received_at, sender, recipients, raw)
            envelope = {"received_at": received_at, "from": sender, "to": recipients}
            self._mails.put(identifier, envelope | {"raw": encode_raw(raw)})
            self._summaries.put(identifier, {"id": identifier, **envelope, "subject": message.subject})
            self._arrived.notify_all()

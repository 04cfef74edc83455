"""Every mail that reached the mailbox, read once and remembered."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from sandbox.inbox import Inbox

_CLAIM = re.compile(r"http\S+/claim/\S+")


@dataclass(frozen=True)
class Arrived:
    """A mail as the mailbox got it: its Message-ID, whom the envelope named, and its text."""

    message_id: str
    recipients: tuple[str, ...]
    text: str


class Mailroom:
    """The mails in the order in which they arrived; `look` takes in what is new."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._lock = threading.Lock()
        self._next = 1
        self._claims: dict[str, str] = {}
        self.arrived: list[Arrived] = []

    def look(self) -> None:
        """Take in what has arrived since the last look."""
        with self._lock:
            while (message := self._inbox.message(str(self._next))) is not None:
                self._next += 1
                self.arrived.append(Arrived(message.header("message-id"), tuple(message.recipients), message.text))
                link = _CLAIM.search(message.text)
                if link is not None:
                    self._claims[message.recipients[0]] = link[0]

    def claim_link(self, email: str) -> str | None:
        """Return the newest link with which this person may choose a password, None before it has arrived."""
        self.look()
        return self._claims.get(email)

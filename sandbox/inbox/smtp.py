"""The mailbox's SMTP server, which can also misbehave."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "127.0.0.1"
MAXIMUM_MESSAGE_BYTES = 32 * 1024 * 1024
_AT_RANDOM = ("drop_before", "drop_after", "temporary")
_REFUSALS = {"temporary": "451 4.3.0 Try again later", "permanent": "550 5.1.1 No such mailbox"}

Receive = Callable[[str, list[str], bytes], None]


@dataclass
class _Trouble:
    refuse: int = 0
    kind: str = "temporary"
    stage: str = "recipient"
    drop: int = 0
    drop_when: str = "after"
    probability: float = 0.0
    kinds: Sequence[str] = _AT_RANDOM
    draws: random.Random = field(default_factory=random.Random)


class SmtpServer:
    """Listens on 127.0.0.1 and gives every accepted mail to `receive`: envelope sender, recipients, raw mail."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._controller: _FreePortController | None = None
        self._trouble = _Trouble()
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.port = 0

    def up(self, port: int | None = None) -> None:
        """Listen on `port` (0: a free one; None: the one used before); raises OSError when it is taken."""
        if self._controller is not None:
            return
        self._controller = _FreePortController(
            self, hostname=HOST, port=self.port if port is None else port, data_size_limit=MAXIMUM_MESSAGE_BYTES
        )
        try:
            self._controller.start()
        except BaseException:
            self._controller = None
            raise
        self.port = self._controller.port

    def down(self) -> None:
        """Stop listening; clients find the connection refused."""
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.stop()

    def refuse(self, count: int, kind: str = "temporary", stage: str = "recipient") -> None:
        """Refuse the next `count` mails: `kind` temporary (451) or permanent (550), `stage` recipient or data."""
        if kind not in _REFUSALS or stage not in {"recipient", "data"}:
            raise ValueError("kind is temporary or permanent, stage is recipient or data")
        with self._lock:
            self._trouble.refuse, self._trouble.kind, self._trouble.stage = count, kind, stage

    def drop(self, count: int, when: str = "after") -> None:
        """Close the connection under the next `count` mails instead of answering: `after` keeping them, or `before`."""
        if when not in {"after", "before"}:
            raise ValueError("when is after or before")
        with self._lock:
            self._trouble.drop, self._trouble.drop_when = count, when

    def chaos(self, probability: float, seed: int = 0, kinds: Sequence[str] = _AT_RANDOM) -> None:
        """Let mails meet one of `kinds` at random; a probability of 0 ends it.

        `drop_before` and `drop_after` close the connection instead of answering, `temporary` answers 451.
        """
        if not 0 <= probability <= 1 or not kinds or not set(kinds) <= set(_AT_RANDOM):
            raise ValueError(f"probability is between 0 and 1, kinds are of {', '.join(_AT_RANDOM)}")
        with self._lock:
            self._trouble.probability, self._trouble.kinds = probability, tuple(kinds)
            self._trouble.draws = random.Random(seed)  # noqa: S311 - chaos that can be repeated, not a secret

    def behave(self) -> None:
        """Accept everything again."""
        with self._lock:
            self._trouble = _Trouble()

    def met(self) -> dict[str, int]:
        """Return how many mails have met what, since the server was made."""
        with self._lock:
            return dict(self._met)

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient, or refuse it on demand."""
        refusal = self._refusal("recipient")
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail, or refuse it or drop the connection on demand."""
        refusal = self._refusal("data")
        if refusal is not None:
            return refusal
        bad_luck = self._bad_luck()
        if bad_luck == "temporary":
            return _REFUSALS[bad_luck]
        drop_when = bad_luck.removeprefix("drop_") if bad_luck else self._drop_when()
        if drop_when != "before":
            raw = envelope.original_content or b""
            self._receive(envelope.mail_from or "", list(envelope.rcpt_tos), raw)
        if drop_when is not None:
            transport: Any = server.transport
            transport.abort()
        return "250 OK: kept"

    def _refusal(self, stage: str) -> str | None:
        with self._lock:
            if self._trouble.refuse <= 0 or self._trouble.stage != stage:
                return None
            self._trouble.refuse -= 1
            self._met[self._trouble.kind] += 1
            return _REFUSALS[self._trouble.kind]

    def _drop_when(self) -> str | None:
        with self._lock:
            if self._trouble.drop <= 0:
                return None
            self._trouble.drop -= 1
            self._met[f"drop_{self._trouble.drop_when}"] += 1
            return self._trouble.drop_when

    def _bad_luck(self) -> str | None:
        with self._lock:
            trouble = self._trouble
            if trouble.probability <= 0 or trouble.draws.random() >= trouble.probability:
                return None
            kind = trouble.draws.choice(trouble.kinds)
            self._met[kind] += 1
            return kind


class _FreePortController(Controller):
    def _trigger_server(self) -> None:
        # The base class connects to the port it was told; told 0, it has to learn which one the system chose.
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

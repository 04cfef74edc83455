"""Sending events to the webhook endpoint in the background, with retries, and everything that can go wrong with it."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.luck import Luck
from sandbox.store import Document
from sandbox.stripe.account import Account
from sandbox.stripe.delivery import Delivery, post, signature_header

Order = Literal["oldest", "newest", "random"]
_WORKERS = 4
_SETTLED = frozenset({"delivered", "failed", "held", "dropped", "undelivered"})


@dataclass(frozen=True)
class _Job:
    """Events to be sent one after the other; an `extra` job is a duplicate, whose outcome changes nothing."""

    event_ids: tuple[str, ...]
    attempt: int = 1
    extra: bool = False


class Webhooks:
    """The sender of events.

    `url` and `secrets` may be changed at any time; `retry_delays` are the seconds before each new attempt, and an
    event has failed when they are used up. `copies` is how often each event is delivered (at once) in all.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, _Job]] = []
        self._numbers = itertools.count()
        self._busy = 0
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self.url = account.settings.stripe_webhook_url
        self.secrets: list[str] = [account.settings.stripe_webhook_secret]
        self.retry_delays: Sequence[float] = (2.0, 10.0, 60.0, 300.0)
        self.timeout = 30.0
        self.behave()
        account.on_event = self.accept

    def behave(self) -> None:
        """End holding, doubling and losing events; the endpoint and its retries stay as they are set."""
        self.holding = False
        self.copies = 1
        self._drops: list[tuple[int, frozenset[str]]] = []
        self._luck: Luck | None = None

    def start(self) -> None:
        """Start sending, beginning with what an earlier run left unsent."""
        self._stopping = False
        for event in self._account.of("evt"):
            if event["_delivery"]["state"] == "pending":
                self._push(_Job((event["id"],)), 0)
        for number in range(_WORKERS):
            thread = threading.Thread(target=self._work, name=f"stripe-webhooks-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop sending; a delivery under way is given two seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(2)
        self._threads.clear()

    def forget(self) -> None:
        """Drop everything that waits to be sent."""
        with self._changed:
            self._queue.clear()
            self._changed.notify_all()

    def accept(self, event_id: str) -> None:
        """Take a new event: send it, hold it, drop it or leave it undelivered, as it is set now."""
        event = self._account.find("evt", event_id)
        if self._dropped(event["type"]):
            self._mark(event_id, "dropped")
        elif self.holding:
            self._mark(event_id, "held")
        elif not self.url:
            self._mark(event_id, "undelivered")
        else:
            self._send_soon(event_id, self._luck.draw() if self._luck else [0.0])

    def _send_soon(self, event_id: str, delays: Sequence[float]) -> None:
        """Send an event after each of `delays`, and what `copies` asks for on top of that; a lost one not at all."""
        if not delays:
            self._mark(event_id, "dropped")
            return
        delays = [*delays, *[0.0] * (self.copies - 1)]
        self._mark(event_id, "pending", copies=len(delays))
        for number, delay in enumerate(delays):
            self._push(_Job((event_id,), extra=number > 0), delay)

    def drop_next(self, count: int, types: Iterable[str] = ()) -> None:
        """Lose the next `count` events (of `types`, when given): they are never sent by themselves."""
        self._drops.append((count, frozenset(types)))

    def chaos(self, **fields: Any) -> None:
        """Lose, double and delay new events at random (fields as in `Luck`); without any field everything arrives."""
        self._luck = Luck(**fields) if fields else None

    def deliveries(self) -> list[Document]:
        """Return `id`, `type`, and what became of each event: its `state`, its `copies`, its `attempts`."""
        return [{"id": event["id"], "type": event["type"], **event["_delivery"]} for event in self._account.of("evt")]

    def hold(self) -> None:
        """Keep new events back until `release`."""
        self.holding = True

    def release(self, order: Order = "oldest", event_ids: Sequence[str] | None = None, seed: int = 0) -> list[str]:
        """Send what is held one after the other and return the identities in that order.

        With `event_ids` only those are sent, in that order, and holding goes on; otherwise holding ends.
        """
        with self._account.lock:
            held = [event["id"] for event in self._account.of("evt") if event["_delivery"]["state"] == "held"]
            if event_ids is not None:
                held = [event_id for event_id in event_ids if event_id in held]
            else:
                self.holding = False
                if order == "newest":
                    held.reverse()
                elif order == "random":
                    random.Random(seed).shuffle(held)  # noqa: S311  # an order to test with, not a secret
            for event_id in held:
                self._mark(event_id, "pending")
        if held:
            self._push(_Job(tuple(held)), 0)
        return held

    def send(self, event_id: str) -> Delivery:
        """Send an event now, whatever became of it before, and return the answer; raises ApiError 404 for no event."""
        delivery = self._send(self._account.find("evt", event_id))
        if delivery.succeeded:
            self._mark(event_id, "delivered", delivery)
        return delivery

    def wait_attempted(self, event_id: str, seconds: float) -> bool:
        """Wait until an event was tried once or is not going to be; return whether that happened in time."""

        def attempted() -> bool:
            event = self._account.of("evt").get(event_id)
            return event is None or event["_delivery"]["attempts"] > 0 or event["_delivery"]["state"] in _SETTLED

        return self._wait(attempted, seconds)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing is being sent or waits for a retry; return whether that happened in time."""
        return self._wait(lambda: not self._queue and self._busy == 0, seconds)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            with self._changed:
                # Short, because the condition is looked at outside this lock and a notice may come in between.
                self._changed.wait(min(remaining, 0.05))
        return True

    def _dropped(self, kind: str) -> bool:
        for index, (count, types) in enumerate(self._drops):
            if not types or kind in types:
                self._drops[index : index + 1] = [(count - 1, types)] if count > 1 else []
                return True
        return False

    def _push(self, job: _Job, delay: float) -> None:
        with self._changed:
            heapq.heappush(self._queue, (time.monotonic() + delay, next(self._numbers), job))
            self._changed.notify_all()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._stopping:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(wait)
        return None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                for event_id in job.event_ids:
                    self._attempt(event_id, job)
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _attempt(self, event_id: str, job: _Job) -> None:
        event = self._account.of("evt").get(event_id)
        if event is None or self._stopping:
            return
        delivery = self._send(event)
        # What comes in after the end is nobody's business any more: the store may be closed.
        if job.extra or self._stopping:
            return
        if delivery.succeeded:
            self._mark(event_id, "delivered", delivery)
        elif job.attempt <= len(self.retry_delays):
            # Queued before it is marked, so that nobody sees an idle sender between two attempts.
            self._push(_Job((event_id,), attempt=job.attempt + 1), self.retry_delays[job.attempt - 1])
            self._mark(event_id, "pending", delivery)
        else:
            self._mark(event_id, "failed", delivery)

    def _send(self, event: Document) -> Delivery:
        if not self.url:
            return Delivery(None, error="no webhook address is set")
        payload = json.dumps(self._account.shown(event), indent=2).encode()
        header = signature_header(payload, self.secrets, int(time.time()))
        return post(self.url, payload, header, self.timeout)

    def _mark(self, event_id: str, state: str, delivery: Delivery | None = None, **noted: int) -> None:
        with self._account.lock:
            event = self._account.of("evt").get(event_id)
            if event is None:
                return
            record = event["_delivery"]
            record.update(noted)
            if record["state"] != "delivered":  # a duplicate's failure does not undo a delivery
                record["state"] = state
            if delivery is not None:
                record.update(attempts=record["attempts"] + 1, last_status=delivery.status, last_error=delivery.error)
            event["pending_webhooks"] = 0 if record["state"] == "delivered" else 1
            self._account.save(event)
        with self._changed:
            self._changed.notify_all()

"""Notifications to the shop, with everything that can go wrong on their way."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim, Happening
from sandbox.esim_access.wire import Printer
from sandbox.esim_access.worker import Worker
from sandbox.esim_access.world import World
from sandbox.luck import Luck
from sandbox.store import Document

RETRY_AFTER_SECONDS = (0.5, 2.0)
ANSWER_WITHIN_SECONDS = 5.0
REMEMBERED_WEBHOOKS = 20_000


class Webhooks:
    """Sends notifications to the saved address in a background thread: three attempts each, in order.

    No signature: eSIM Access documents none.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._worker = Worker("sandbox-esim-access-webhooks")
        self._lock = threading.Lock()
        self._held: list[Document] | None = None
        self._drop = 0
        self._duplicate = 0
        self._luck: Luck | None = None
        self._sent: deque[Document] = deque(maxlen=REMEMBERED_WEBHOOKS)

    def start(self) -> None:
        """Start sending."""
        self._worker.start()

    def stop(self) -> None:
        """Stop sending; what was not sent is lost."""
        self._worker.stop()

    @property
    def url(self) -> str:
        """Return where notifications go; "" for nowhere."""
        return str((self._world.settings.get("webhook") or {"url": ""})["url"])

    def set_url(self, url: str) -> None:
        """Send notifications to `url` from now on, without asking whether anyone is there."""
        self._world.settings.put("webhook", {"url": url})

    def save(self, url: str) -> None:
        """Send notifications to `url` from now on; raises ApiError 200008 unless it answers CHECK_HEALTH with 200."""
        content = {"orderNo": "1234567890", "orderStatus": "Test"}
        status = _post(url, self._envelope("CHECK_HEALTH", content))
        if status != 200:
            raise ApiError("200008", "The webhook address does not answer the health check")
        self.set_url(url)

    def order_ready(self, order: Document) -> None:
        """Tell that an order's profiles are there; without ICCIDs, as documented."""
        content = {
            "orderNo": order["orderNo"],
            "transactionId": order["transactionId"],
            "orderStatus": "GOT_RESOURCE",
        }
        self.send("ORDER_STATUS", content)

    def happened(self, happening: Happening) -> None:
        """Tell what happened to an eSIM."""
        printer = Printer(self._world.clock, "z")
        self.send(happening.notify_type, _content(happening, printer))

    def send(self, notify_type: str, content: Document) -> None:
        """Send any notification, also one that is not true; does nothing while no address is saved."""
        if self.url:
            self._queue(self._envelope(notify_type, content))

    def hold(self) -> None:
        """Keep notifications back until `release`."""
        with self._lock:
            self._held = self._held if self._held is not None else []

    def held(self) -> list[Document]:
        """Return the notifications that are kept back, oldest first."""
        with self._lock:
            return list(self._held or [])

    def release(self, *, reverse: bool = False) -> None:
        """Send what was held back, latest first when `reverse`."""
        with self._lock:
            held, self._held = self._held or [], None
        for payload in reversed(held) if reverse else held:
            self._queue(payload)

    def drop(self, count: int) -> None:
        """Lose the next `count` notifications."""
        with self._lock:
            self._drop = count

    def duplicate(self, count: int) -> None:
        """Send each of the next `count` notifications twice, with the same notifyId."""
        with self._lock:
            self._duplicate = count

    def chaos(self, **fields: Any) -> None:
        """Lose, double and delay notifications at random (fields as in `Luck`); without any field all arrive."""
        with self._lock:
            self._luck = Luck(**fields) if fields else None

    def sent(self) -> list[Document]:
        """Return the latest 20,000: `payload`, `statuses` of each attempt (0: no answer), `dropped`, `copies`."""
        with self._lock:
            return [dict(each) for each in self._sent]

    def wait_idle(self, timeout: float) -> bool:
        """Wait until everything not held back was delivered or given up; False when `timeout` seconds passed."""
        return self._worker.wait_idle(timeout)

    def reset(self) -> None:
        """Forget what was sent and held, and deliver normally."""
        with self._lock:
            self._held, self._drop, self._duplicate, self._luck = None, 0, 0, None
            self._sent.clear()

    def _envelope(self, notify_type: str, content: Document) -> Document:
        if self._world.variants.bare_webhooks:
            return {"notifyType": notify_type, "content": content}
        return {
            "notifyType": notify_type,
            "eventGenerateTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "notifyId": uuid.uuid4().hex,
            "content": content,
        }

    def _queue(self, payload: Document) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(payload)
                return
            delays = self._delays()
            record: Document = {"payload": payload, "statuses": [], "dropped": not delays, "copies": len(delays)}
            self._sent.append(record)
        for delay in delays:
            self._worker.schedule(delay, lambda: self._deliver(record, 0))

    def _delays(self) -> list[float]:
        """Return after how many seconds each copy of the next notification is sent; none for a lost one."""
        if self._drop > 0:
            self._drop -= 1
            return []
        delays = self._luck.draw() if self._luck else [0.0]
        if self._duplicate > 0:
            self._duplicate -= 1
            delays = [*delays, 0.0]
        return delays

    def _deliver(self, record: Document, attempt: int) -> None:
        status = _post(self.url, record["payload"]) if self.url else 0
        with self._lock:
            record["statuses"] = [*record["statuses"], status]
        if not 200 <= status < 300 and attempt < len(RETRY_AFTER_SECONDS) and self.url:
            self._worker.schedule(RETRY_AFTER_SECONDS[attempt], lambda: self._deliver(record, attempt + 1))


def _post(url: str, payload: Document) -> int:
    try:
        with httpx.Client(trust_env=False, timeout=ANSWER_WITHIN_SECONDS) as client:
            return client.post(url, json=payload).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0


def _content(happening: Happening, printer: Printer) -> Document:
    esim = happening.esim
    content: Document = {"orderNo": esim.order_no, "transactionId": esim.transaction_id, "iccid": esim.iccid}
    if happening.notify_type == "VALIDITY_USAGE":
        return content | {
            "durationUnit": "DAY",
            "totalDuration": esim.total_days,
            "expiredTime": printer.moment(esim.expires_at),
            "remain": 1,
        }
    content["esimTranNo"] = esim.esim_tran_no
    if happening.notify_type == "DATA_USAGE":
        return content | _usage(esim, printer) | {"remainThreshold": happening.threshold}
    content |= {"esimStatus": esim.esim_status, "smdpStatus": esim.smdp_status}
    return content | {"eid": esim.eid} if happening.notify_type == "SMDP_EVENT" else content


def _usage(esim: Esim, printer: Printer) -> Document:
    return {
        "totalVolume": esim.total_volume,
        "orderUsage": esim.usage,
        "remain": esim.remaining,
        "lastUpdateTime": printer.moment(esim.reported_at),
    }

"""What was asked of the API and what it really did, to prove that nothing was bought twice."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sandbox.store import Document, Store

REMEMBERED_REQUESTS = 5000


@dataclass(kw_only=True)
class Entry:
    """One request: `outcome` is executed, replayed, refused or faulted; `executed` tells whether it had an effect.

    A request can be faulted and executed: carried out, but never answered.
    """

    method: str
    path: str
    transaction_id: str | None = None
    outcome: str = "executed"
    executed: bool = False
    error_code: str | None = None
    fault: str | None = None
    at: str = ""


class Journal:
    """The latest requests (without codes or secrets) and, over restarts, how often each purchase was carried out."""

    def __init__(self, store: Store) -> None:
        self._entries: deque[Entry] = deque(maxlen=REMEMBERED_REQUESTS)
        self._lock = threading.Lock()
        self._store = store
        self._executions = store.collection("esim_access.executions")

    def add(self, entry: Entry) -> None:
        """Remember one request."""
        entry.at = datetime.now(UTC).isoformat()
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[Entry]:
        """Return the latest 5000 requests, oldest first."""
        with self._lock:
            return list(self._entries)

    def executed(self, kind: str, transaction_id: str) -> None:
        """Count one purchase: `kind` is orders or topups."""
        with self._store.lock:
            key = f"{kind}:{transaction_id}"
            known = self._executions.get(key) or {"kind": kind, "transactionId": transaction_id, "count": 0}
            self._executions.put(key, known | {"count": known["count"] + 1})

    def count(self, kind: str, transaction_id: str) -> int:
        """Return how often one purchase was carried out: more than once is a double purchase."""
        return int((self._executions.get(f"{kind}:{transaction_id}") or {"count": 0})["count"])

    def counters(self) -> Document:
        """Return `orders_executed`, `topups_executed`, and both per transactionId as `orders` and `topups`."""
        answer: Document = {}
        executions = self._executions.all()
        for kind in ("orders", "topups"):
            counts = {each["transactionId"]: each["count"] for each in executions if each["kind"] == kind}
            answer[f"{kind}_executed"] = sum(counts.values())
            answer[kind] = counts
        return answer

    def clear(self) -> None:
        """Forget the requests; the counters are in the store."""
        with self._lock:
            self._entries.clear()


def entry_json(entry: Entry) -> Document:
    """Return `entry` as the control API prints it."""
    document = asdict(entry)
    document["transactionId"] = document.pop("transaction_id")
    document["errorCode"] = document.pop("error_code")
    return document

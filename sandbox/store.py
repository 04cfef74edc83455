"""Documents by collection and key, kept in SQLite so that a restarted sandbox remembers what it sold."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_SCHEMA = """
create table if not exists documents (
    collection text not null, key text not null, position integer not null, body text not null,
    primary key (collection, key)
)
"""


class Store:
    """All documents of one sandbox, in memory with a write-through copy on disk.

    `lock` is re-entrant and guards every read and write; hold it around a check and the write that rests on it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._database = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=off")
        self._database.execute(_SCHEMA)
        self._documents: dict[str, dict[str, Document]] = {}
        for collection, key, body in self._database.execute(
            "select collection, key, body from documents order by position"
        ):
            self._documents.setdefault(collection, {})[key] = json.loads(body)
        self._position = self._database.execute("select coalesce(max(position), 0) from documents").fetchone()[0]

    def collection(self, name: str) -> Collection:
        """Return the collection called `name`, empty when nothing was ever put there."""
        return Collection(self, name)

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self._documents.clear()
            self._database.execute("delete from documents")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._database.close()

    def _read(self, collection: str) -> dict[str, Document]:
        return self._documents.setdefault(collection, {})

    def _write(self, collection: str, key: str, document: Document) -> None:
        self._position += 1
        self._documents.setdefault(collection, {})[key] = document
        self._database.execute(
            "insert into documents values (?, ?, ?, ?)"
            " on conflict (collection, key) do update set body = excluded.body",
            (collection, key, self._position, json.dumps(document)),
        )

    def _remove(self, collection: str, key: str) -> None:
        self._documents.setdefault(collection, {}).pop(key, None)
        self._database.execute("delete from documents where collection = ? and key = ?", (collection, key))


class Collection:
    """Documents of one kind in the order of their first `put`; callers get copies, so only `put` changes the store."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name

    def get(self, key: str) -> Document | None:
        """Return a copy of the document under `key`, or None."""
        with self.store.lock:
            document = self.store._read(self.name).get(key)
            return _copy(document) if document is not None else None

    def put(self, key: str, document: Document) -> None:
        """Keep `document` (JSON values only) under `key`, replacing what was there."""
        with self.store.lock:
            self.store._write(self.name, key, _copy(document))

    def remove(self, key: str) -> None:
        """Forget the document under `key`, if any."""
        with self.store.lock:
            self.store._remove(self.name, key)

    def all(self) -> list[Document]:
        """Return copies of all documents, oldest first."""
        with self.store.lock:
            return [_copy(document) for document in self.store._read(self.name).values()]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.all())

    def __len__(self) -> int:
        with self.store.lock:
            return len(self.store._read(self.name))

    def __contains__(self, key: str) -> bool:
        with self.store.lock:
            return key in self.store._read(self.name)


def _copy(document: Document) -> Document:
    copied: Document = json.loads(json.dumps(document))
    return copied

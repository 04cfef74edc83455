"""A line to PostgreSQL that a test can cut, mend, and have lose one answer: what a network and a restart do."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from sqlalchemy import URL, make_url

CHUNK = 65536


class Line:
    """A context manager: what is said to this end of the line reaches `server` while the line is whole."""

    def __init__(self, server: URL) -> None:
        self._server = (server.host or "127.0.0.1", server.port or 5432)
        self._listener: socket.socket | None = None
        self.port = 0
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        # What still has to be said, in this order, before the answer to the last of it is lost.
        self._awaited: list[bytes] = []
        self.mend()

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def lead(self, database_url: str, **query: str) -> str:
        """Return the address of a database on the server by way of this line, with parameters of its own."""
        url = make_url(database_url).set(host="127.0.0.1", port=self.port)
        return url.update_query_dict(query).render_as_string(hide_password=False)

    def cut(self) -> None:
        """End every connection and refuse new ones, as a server that is being restarted."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would not wake who waits in accept().
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._hang_up(*self._ends)

    def mend(self) -> None:
        """Let everybody through again, at the same address."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def lose_answer(self, *words: bytes) -> None:
        """Once these words have been said one after the other, lose the answer to the last, which the server has done.

        For `COMMIT` that is the one case in which nobody can know whether a transaction was committed.
        """
        self._awaited = list(words)

    def has_lost_answer(self) -> bool:
        """Return whether the answer that was to be lost is lost."""
        return not self._awaited

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            with self._lock:
                self._ends |= {client, server}
                if self._listener is not listener:
                    self._hang_up(client, server)
            mute = threading.Event()
            threading.Thread(target=self._ask, args=(client, server, mute), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client, mute), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(CHUNK):
                if self._is_last_awaited(data):
                    mute.set()
                server.sendall(data)
        if not mute.is_set():
            self._hang_up(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                if mute.is_set():
                    break
                client.sendall(data)
        self._hang_up(client, server)

    def _is_last_awaited(self, data: bytes) -> bool:
        with self._lock:
            waited = bool(self._awaited)
            if waited and self._awaited[0] in data:
                self._awaited.pop(0)
            return waited and not self._awaited

    def _hang_up(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            self._ends.discard(end)

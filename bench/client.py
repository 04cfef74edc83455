"""Asking for one page again and again over connections that stay open, and looking at every answer."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType

import brotli

CONNECTIONS = 16
TIMEOUT_SECONDS = 20
USER_AGENT = "shop-bench"


class WrongAnswer(Exception):
    """A page answered something else than what is to be measured."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page to measure: its address and what makes its answer the right one."""

    name: str
    path: str
    marker: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def all_headers(self) -> dict[str, str]:
        """Return the headers that a browser sends, as far as the server looks at them."""
        return {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate, br, zstd", **self.headers}

    def request(self) -> bytes:
        """Return the request as it goes over the wire."""
        headers = {"Host": "127.0.0.1", **self.all_headers()}
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True)
class Answer:
    """What came back; `body` as it was sent, so perhaps compressed. Names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return _text(self.body, self.headers.get("content-encoding", ""))

    def check(self, page: Page) -> None:
        """Raise WrongAnswer unless this is the answer that `page` is measured by."""
        if self.status != page.status or page.marker not in self.text:
            raise WrongAnswer(f"{page.name}: {page.path} answered {self.status} without {page.marker!r}")


class Client:
    """A context manager that holds open connections to one server on 127.0.0.1."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self._sockets = [socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) for _ in range(connections)]
        for connection in self._sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._sockets:
            connection.close()

    def get(self, page: Page) -> Answer:
        """Ask once; raises WrongAnswer."""
        self._sockets[0].sendall(page.request())
        answer = _receive(self._sockets[0])
        answer.check(page)
        return answer

    def repeat(self, page: Page, rounds: int) -> int:
        """Ask `rounds` times on every connection, on all of them at once; return how often. Raises WrongAnswer."""
        request = page.request()
        for _ in range(rounds):
            for connection in self._sockets:
                connection.sendall(request)
            for connection in self._sockets:
                _receive(connection).check(page)
        return rounds * len(self._sockets)


def _receive(connection: socket.socket) -> Answer:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", 0))
    chunks = [body]
    missing = length - len(body)
    while missing > 0:
        chunks.append(_more(connection))
        missing -= len(chunks[-1])
    return Answer(int(first.split(" ")[1]), headers, b"".join(chunks))


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(256 * 1024)
    if not data:
        raise WrongAnswer("the server closed a connection")
    return data


@lru_cache(maxsize=8)
def _text(body: bytes, encoding: str) -> str:
    if encoding == "br":
        body = brotli.decompress(body)
    elif encoding == "gzip":
        body = gzip.decompress(body)
    return body.decode()

"""CPU per request of whole servers, page beside hello in the same moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from bench.client import Client, Page
from bench.server import Server

ROUNDS = 5
SAMPLE_SECONDS = 0.4
WARM_UP_ROUNDS = 12
# The kernel counts CPU in hundredths of a second, so a short sample would say little.
FEWEST_ROUNDS, MOST_ROUNDS = 8, 400


@dataclass(frozen=True)
class Cost:
    """Medians over all rounds: CPU seconds per request of the page and of hello, and of the ratio of the two."""

    page: float
    hello: float
    ratio: float


class Side:
    """One server with open connections to it."""

    def __init__(self, server: Server, client: Client) -> None:
        self._server = server
        self._client = client

    def rounds(self, page: Page) -> int:
        """Ask often enough for every worker to be warm, and return how many rounds fill a sample."""
        self._client.repeat(page, WARM_UP_ROUNDS)
        started = time.monotonic()
        self._client.repeat(page, WARM_UP_ROUNDS)
        seconds = (time.monotonic() - started) / WARM_UP_ROUNDS
        return min(max(round(SAMPLE_SECONDS / seconds), FEWEST_ROUNDS), MOST_ROUNDS)

    def sample(self, page: Page, rounds: int) -> float:
        """Return the CPU seconds per request of the whole server."""
        before = self._server.cpu_seconds()
        requests = self._client.repeat(page, rounds)
        return (self._server.cpu_seconds() - before) / requests


def compare(shop: Side, pages: list[Page], hello: Side, greeting: Page, seconds: float) -> list[Cost]:
    """Return what each page costs, in their order; begins no further round once `seconds` are over."""
    deadline = time.monotonic() + seconds
    hello_rounds = hello.rounds(greeting)
    page_rounds = [shop.rounds(page) for page in pages]
    samples: list[list[tuple[float, float]]] = [[] for _ in pages]
    for number in range(ROUNDS):
        if number and time.monotonic() > deadline:
            break
        before = hello.sample(greeting, hello_rounds)
        for page, rounds, taken in zip(pages, page_rounds, samples, strict=True):
            cost = shop.sample(page, rounds)
            after = hello.sample(greeting, hello_rounds)
            # What else the machine does slows both down; the hello around a page has seen the same of it.
            taken.append((cost, (before + after) / 2))
            before = after
    return [_medians(taken) for taken in samples]


def _medians(taken: list[tuple[float, float]]) -> Cost:
    return Cost(
        page=median(page for page, _hello in taken),
        hello=median(hello for _page, hello in taken),
        ratio=median(page / hello for page, hello in taken),
    )

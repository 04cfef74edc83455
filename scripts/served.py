"""A shop as production serves it, on the sandbox, with one eSIM bought and in use; for what measures its pages."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.server import Server, free_port
from bench.world import build, sign_in
from sandbox.server import Sandbox


@dataclass(frozen=True, kw_only=True)
class Address:
    """A page to measure: `path` begins after the language; `mine` where it needs the traveller's cookie."""

    name: str
    path: str
    critical: bool = False
    mine: bool = False


@dataclass(frozen=True, kw_only=True)
class ServedShop:
    """Where the shop answers, and the value of the `Cookie` header of the traveller who owns the eSIM."""

    url: str
    cookie: str
    pages: tuple[Address, ...]


@contextmanager
def served_shop() -> Iterator[ServedShop]:
    """Start the shop of the Procfile's `web` line in a temporary folder; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="shop-served-") as directory, Sandbox() as sandbox:
        port = free_port()
        world = build(sandbox, Path(directory) / "instance", port)
        with Server("wsgi:application", port, "/readyz", world.environment, Path(directory) / "shop.log"):
            url, cookie = f"http://127.0.0.1:{port}", sign_in(world, port)
            account = httpx.get(f"{url}/en/account", headers={"Cookie": cookie}, timeout=20).text
            found = re.search(r"/en/(orders/[^/\"?]+)\"", account)
            assert found is not None, "the account shows no order"
            yield ServedShop(url=url, cookie=cookie, pages=pages(world.plan, found[1], f"account/esims/{world.esim}"))


def pages(plan: str, order: str, esim: str) -> tuple[Address, ...]:
    """Return what is measured; `critical` are the pages that a traveller on the road has to see first of all."""
    return (
        Address(name="home", path="", critical=True),
        Address(name="plans", path="plans", critical=True),
        Address(name="plan", path=f"plans/{plan}", critical=True),
        Address(name="checkout", path=f"checkout/{plan}", critical=True),
        Address(name="renew", path="renew", critical=True),
        Address(name="renew this eSIM", path=f"{esim}/renewal", critical=True, mine=True),
        Address(name="order, delivered", path=order, critical=True, mine=True),
        Address(name="eSIM", path=esim, critical=True, mine=True),
        Address(name="sign-in", path="sign-in", critical=True),
        Address(name="account", path="account", mine=True),
        Address(name="compatibility", path="compatibility"),
        Address(name="install", path="install"),
        Address(name="help", path="help"),
        Address(name="terms", path="terms"),
        Address(name="privacy", path="privacy"),
        Address(name="accessibility", path="accessibility"),
    )

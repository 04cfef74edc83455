"""`make bench`: what the pages cost, as ratios to a bare Flask hello under the same server in the same minute."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.client import CONNECTIONS, Client, Page, WrongAnswer
from bench.hello import GREETING
from bench.measure import ROUNDS, Cost, Side, compare
from bench.report import Memory, PageFigures, table
from bench.server import Server, free_port
from bench.statements import count_statements
from bench.world import World, build, sign_in
from sandbox.server import Sandbox

MEASURE_SECONDS = 110
HELLO = Page(name="Flask hello", path="/", marker=GREETING)
PUBLIC, PANEL = 1.5, 5.0


def main() -> int:
    """Print the table; return 1 when a page answered something else than itself, 0 also when an aim is missed."""
    try:
        with tempfile.TemporaryDirectory(prefix="shop-bench-") as directory:
            print(_run(Path(directory)))
    except WrongAnswer as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    return 0


def _run(directory: Path) -> str:
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox())
        port, hello_port = free_port(), free_port()
        _say("preparing a shop with one eSIM in use")
        world = build(sandbox, directory / "instance", port)
        hello = stack.enter_context(
            Server("bench.hello:application", hello_port, "/", world.environment, directory / "hello.log")
        )
        shop = stack.enter_context(
            Server("wsgi:application", port, "/readyz", world.environment, directory / "shop.log")
        )
        pages = _pages(world, port)
        _say(f"measuring {len(pages)} pages in {ROUNDS} rounds")
        clients = [stack.enter_context(Client(server.port)) for server in (shop, hello)]
        costs = compare(
            Side(shop, clients[0]), [page for page, _aim in pages], Side(hello, clients[1]), HELLO, MEASURE_SECONDS
        )
        kind, workers = shop.worker_memory()
        memory = Memory(kind=kind, workers=workers, parent=shop.parent_memory())
        _say("counting SQL statements")
        figures = [_figures(world, clients[0], page, aim, cost) for (page, aim), cost in zip(pages, costs, strict=True)]
    return "\n".join((_machine(), "", table(median(cost.hello for cost in costs) * 1e6, figures, memory)))


def _pages(world: World, port: int) -> list[tuple[Page, float | None]]:
    """Return what is measured, each with its aim as a multiple of hello."""
    home = Page(name="home", path="/en/", marker='href="/en/plans/')
    with Client(port, connections=1) as client:
        etag = client.get(home).headers["etag"]
    unchanged = Page(name="home, 304", path="/en/", marker="", status=304, headers={"If-None-Match": etag})
    cookie = {"Cookie": sign_in(world, port)}
    plan, esim = f"/en/plans/{world.plan}", f"/en/account/esims/{world.esim}"
    marker = f'action="{esim}/usage-reading"'
    fragment = Page(name="data left, fragment", path=esim, marker=marker, headers={**cookie, "HX-Request": "true"})
    return [
        (home, PUBLIC),
        (unchanged, PUBLIC),
        (Page(name="plans", path="/en/plans", marker=f'href="{plan}'), PUBLIC),
        (Page(name="plan", path=plan, marker=f"/en/checkout/{world.plan}"), PUBLIC),
        (Page(name="renew", path="/en/renew", marker='id="your-esims"'), PUBLIC),
        (fragment, PANEL),
        (Page(name="data left, page", path=esim, marker=marker, headers=cookie), PANEL),
        (Page(name="account", path="/en/account", marker=f'href="{esim}"', headers=cookie), None),
        (Page(name="checkout", path=f"/en/checkout/{world.plan}", marker='name="checkout_key"'), None),
    ]


def _figures(world: World, client: Client, page: Page, aim: float | None, cost: Cost) -> PageFigures:
    return PageFigures(
        name=page.name,
        microseconds=cost.page * 1e6,
        ratio=cost.ratio,
        sent=len(client.get(page).body),
        statements=count_statements(world, page),
        aim=aim,
    )


def _machine() -> str:
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, the server of the Procfile with 2 workers, "
        f"{CONNECTIONS} connections, medians of {ROUNDS} rounds"
    )


def _say(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

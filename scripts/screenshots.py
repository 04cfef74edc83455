"""`make screenshots`: a traveller's way in every language, light and dark, as pictures in build/screenshots/.

Of each language there is a contact sheet, too: `sheet-<language>.html` with its pictures, and a picture of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, sync_playwright

from scripts.chromium import chromium
from scripts.traveller import Traveller, until
from services.languages import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "screenshots"
# Pages that a traveller only passes through.
PASSED = {"claim", "panel-new", "renewal-first", "guide-loading"}
# What the pages lead with depends on the phone.
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 "
    "Mobile/15E148 Safari/604.1"
)
# What stands on a contact sheet, in this order, and how much of each page, in pixels of a phone.
ON_SHEET = ("home", "plans", "checkout", "order", "account", "panel", "renewal", "guide")
SHOWN, COLUMN = 2200, 300
SHEET = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>
body {{ margin: 16px; font: 14px system-ui, sans-serif; background: #ccc }}
div {{ display: grid; grid-template-columns: repeat({columns}, {column}px); gap: 12px; align-items: start }}
figure {{ margin: 0 0 12px; max-height: {height}px; overflow: hidden }} img {{ display: block; width: 100% }}
</style><h1>{name}</h1>{rows}</html>"""
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def main() -> None:
    """Start the shop on its sandbox, walk through it, and end it again."""
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    with running_shop() as (shop_url, sandbox_url), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        for language in sys.argv[1:] or LANGUAGES:
            for scheme in SCHEMES:
                walk(browser, shop_url, sandbox_url, language, scheme)
            lay_out(browser, language)
            print(f"{language}: {TARGET.relative_to(ROOT)}/sheet-{language}.png", flush=True)
        browser.close()
    print(f"{len(list(TARGET.iterdir()))} pictures in {TARGET.relative_to(ROOT)}")


def walk(browser: Browser, shop_url: str, sandbox_url: str, language: str, scheme: Scheme) -> None:
    """Let one traveller buy and renew, and keep a picture of each page."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, device_scale_factor=2, user_agent=IPHONE
    )
    page = context.new_page()

    def keep(name: str) -> None:
        if name not in PASSED:
            # Hiding the caret would leave style attributes behind, which the Content-Security-Policy then stops.
            page.screenshot(path=TARGET / f"{language}-{scheme}-{name}.png", full_page=True, caret="initial")

    traveller = Traveller(
        page, shop_url, sandbox_url, language, email=f"ana.{language}.{scheme}@example.org", seen=keep
    )
    traveller.choose_plan()
    traveller.fill_in()
    traveller.pay("order")
    traveller.claim_account()
    traveller.open_panel()
    traveller.use_half()
    traveller.choose_renewal()
    traveller.pay("renewed")
    traveller.open("renew", "guide-loading")
    page.locator("#your-esims .row").first.wait_for()
    keep("guide")
    context.close()


def lay_out(browser: Browser, language: str) -> None:
    """Put the pictures of a language side by side, on a page and as a picture of that page."""
    rows = "".join(
        "<div>"
        + "".join(
            f'<figure><figcaption>{page}, {scheme}</figcaption><img src="{language}-{scheme}-{page}.png" alt="">'
            "</figure>"
            for page in ON_SHEET
        )
        + "</div>"
        for scheme in SCHEMES
    )
    columns = len(ON_SHEET)
    text = SHEET.format(
        name=LANGUAGES[language].name, columns=columns, column=COLUMN, height=SHOWN * COLUMN // 390, rows=rows
    )
    sheet = TARGET / f"sheet-{language}.html"
    sheet.write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": columns * (COLUMN + 12) + 32, "height": 900})
    page.goto(sheet.as_uri())
    page.screenshot(path=sheet.with_suffix(".png"), full_page=True)
    page.close()


@contextmanager
def running_shop() -> Iterator[tuple[str, str]]:
    """Yield the addresses of a shop and its sandbox, fresh ones, started as `make run` does."""
    port, sandbox_port = free_ports()
    shop_url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
    with tempfile.TemporaryDirectory() as instance:
        environ = {"PORT": str(port), "SANDBOX_PORT": str(sandbox_port), "INSTANCE": instance}
        demo = subprocess.Popen(
            [sys.executable, "-m", "scripts.demo"], cwd=ROOT, env={**os.environ, **environ}, stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: demo.poll() is not None or answers(f"{shop_url}/readyz"), seconds=90)
            if demo.poll() is not None:
                sys.exit("the shop did not start; `make run` says why")
            yield shop_url, sandbox_url
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(30)


def answers(url: str) -> bool:
    """Return whether an address answers with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def free_ports() -> tuple[int, int]:
    """Return a port for the shop, and one for the sandbox whose next one is free, too."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            port = int(second.getsockname()[1])
            try:
                third.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return int(first.getsockname()[1]), port


if __name__ == "__main__":
    main()

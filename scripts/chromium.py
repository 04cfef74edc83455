"""Make sure that the browser tests find a Chromium: Debian's, or Playwright's own, which is fetched when it can be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import which

from playwright.sync_api import sync_playwright


def chromium() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> None:
    """Fetch Playwright's Chromium when there is none; says so, and does not fail, when it cannot be had."""
    if chromium():
        return
    print("no Chromium on this machine: asking Playwright for its own", flush=True)
    fetched = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if fetched.returncode:
        print("no Chromium could be had: the browser tests will be SKIPPED (and fail where CI is set)", flush=True)


if __name__ == "__main__":
    main()

"""One run of Lighthouse, and what it needs on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.chromium import chromium

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = Path(__file__).parent
TARGET = ROOT / "build" / "lighthouse"
# What lighthouse 12.8.2 asks for ("engines" in its package.json); 13 needs Node 22.19.
NODE_MAJOR = 18
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")


class CannotRun(Exception):
    """Something is missing on this machine, or Lighthouse failed; the message says what to do."""


@dataclass(frozen=True)
class Run:
    """Points from 0 to 100 by category, and the audits that cost some of them."""

    points: Mapping[str, int]
    missed: Mapping[str, frozenset[str]]


def prepare() -> None:
    """Install the pinned Lighthouse into build/ when it is not there yet; raises CannotRun."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise CannotRun("Lighthouse needs Node: install node and npm (Debian: apt-get install nodejs npm)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE_MAJOR:
        raise CannotRun(f"Lighthouse needs Node {NODE_MAJOR} or newer, this is {version}")
    if chromium() is None:
        raise CannotRun("Lighthouse needs Chromium: `make test` says how to get one")
    wanted, installed = (SOURCE / "package.json").read_bytes(), TARGET / "installed"
    if installed.exists() and installed.read_bytes() == wanted:
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / "package.json", TARGET / "package.json")
    # Its packages need no scripts; one of them would fetch a browser.
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(command, cwd=TARGET, check=False)
    if done.returncode:
        raise CannotRun("npm could not install Lighthouse; see above")
    installed.write_bytes(wanted)


def run(url: str, headers: Mapping[str, str]) -> Run:
    """Return what Lighthouse's mobile preset says of a page; raises CannotRun."""
    flags = ["--headless=new", "--disable-gpu"]
    if os.getuid() == 0:
        flags.append("--no-sandbox")
    command = [
        *("node", str(TARGET / "node_modules" / "lighthouse" / "cli" / "index.js"), url),
        *("--output=json", "--output-path=stdout", "--quiet", f"--chrome-flags={' '.join(flags)}"),
        f"--only-categories={','.join(CATEGORIES)}",
        f"--extra-headers={json.dumps(dict(headers))}",
    ]
    environment = {**os.environ, "CHROME_PATH": chromium() or ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(f"Lighthouse failed on {url}:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    if report.get("runtimeError"):
        raise CannotRun(f"Lighthouse could not look at {url}: {report['runtimeError']['message']}")
    if report["finalDisplayedUrl"].partition("?")[0] != url:
        raise CannotRun(f"{url} led to {report['finalDisplayedUrl']}")
    return read(report)


def read(report: Mapping[str, object]) -> Run:
    """Return points and missed audits of a report in Lighthouse's JSON."""
    categories, audits = report["categories"], report["audits"]
    assert isinstance(categories, dict)
    assert isinstance(audits, dict)
    points, missed = {}, {}
    for name in CATEGORIES:
        category = categories[name]
        points[name] = round((category["score"] or 0) * 100)
        missed[name] = frozenset(
            each["id"]
            for each in category["auditRefs"]
            if each["weight"] and audits[each["id"]]["score"] is not None and audits[each["id"]]["score"] < 1
        )
    return Run(points, missed)

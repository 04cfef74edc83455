"""The commands of docs/operating.md, read from the page itself: what the exercise runs is what the page tells."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MANUAL = ROOT / "docs" / "operating.md"


class CommandFailed(Exception):
    """A command of the manual did not work; the message holds what it printed."""


def commands(heading: str) -> str:
    """Return the shell commands below a heading of the manual; raises LookupError for none."""
    text = MANUAL.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    block = re.search(r"^```sh\n(.*?)^```", found[1], re.DOTALL | re.MULTILINE) if found else None
    if block is None:
        raise LookupError(f"docs/operating.md has no commands under {heading!r}")
    return block[1].strip()


def run(script: str, environment: Mapping[str, str]) -> str:
    """Run shell commands, the first failing one ending them; return what they printed; raises CommandFailed."""
    done = subprocess.run(
        ["sh", "-ec", script], cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{script}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()

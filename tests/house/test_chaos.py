"""`make chaos`, small: everything goes wrong, and everything is as it must be afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SMALL = ("--orders", "20", "--buyers", "8", "--kill-every", "5", "--kill-web-every", "6", "--catch-up", "5")

pytestmark = [pytest.mark.house, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


def rows(printed: str) -> dict[str, str]:
    """Return the table: what stands on the left, and the first word of what stands on the right."""
    cells = [line.strip().split("   ", 1) for line in printed.splitlines() if "   " in line.strip()]
    return {name: rest.split()[0] for name, rest in cells}


def test_twenty_orders_survive(tmp_path: Path) -> None:
    """The run itself, with a shop of its own; nothing of it stays behind."""
    command = [sys.executable, "bench/chaos.py", *SMALL, "--database", "sqlite", "--seed", "7"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = rows(done.stdout)
    assert table["orders paid"] == table["charges at Stripe"] == "20"
    assert int(table["purchases"]) + int(table["renewals"]) == 20
    assert int(table["kills of the worker"]) > 0
    assert [table[check] for check in ("double charges", "double eSIMs", "mails missing")] == ["0", "0", "0"]
    assert list(tmp_path.iterdir()) == []

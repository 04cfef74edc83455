"""`make restore-exercise`: docs/operating.md, followed word by word, brings back every order that was paid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import both_databases
from tests.servers import POSTGRESQL_URL, unavailable

ROOT = Path(__file__).parent.parent.parent
SECONDS = 400

pytestmark = [pytest.mark.house, pytest.mark.skipif(sys.platform != "linux", reason="kills process groups")]


@both_databases
def test_every_paid_order_of_the_lost_hour_comes_back(database: str) -> None:
    """With the same eSIM, once; with the buyer's link, and with what went back."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.restore_exercise", "--database", database, "--server", POSTGRESQL_URL],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if "NOT TRIED" in done.stdout:
        unavailable(done.stdout.partition("NOT TRIED on PostgreSQL: ")[2].strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 of them of the lost hour" in done.stdout

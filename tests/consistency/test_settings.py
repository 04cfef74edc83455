"""config.py, .env.example and what a missing setting does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config import Settings, SettingsError
from sandbox.server import Sandbox
from tests.conftest import environment

ROOT = Path(__file__).parent.parent.parent
REQUIRED = (
    *("SECRET_KEY", "SHOP_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"),
    *("ESIM_ACCESS_CODE", "SMTP_URL", "MAIL_FROM"),
)


def test_the_example_names_every_setting_and_no_other() -> None:
    """Each with a line above it that says what it is for."""
    read = set(re.findall(r'"([A-Z][A-Z0-9_]+)"', (ROOT / "config.py").read_text()))
    read -= {"DEBUG", "INFO", "WARNING", "ERROR"}
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = {line.partition("=")[0]: above for above, line in zip(lines, lines[1:], strict=False) if "=" in line}
    names = {key: above for key, above in names.items() if re.fullmatch(r"[A-Z0-9_]+", key)}
    assert set(names) == read
    assert all(above.startswith("# ") for above in names.values())


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_setting_is_named(sandbox_server: Sandbox, tmp_path: Path, missing: str) -> None:
    """One sentence that says which and where to read on."""
    environ = environment(sandbox_server, "http://127.0.0.1:8000", tmp_path)
    del environ[missing]
    with pytest.raises(SettingsError, match=missing):
        Settings.from_env(environ)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_x"}, "STRIPE_API_BASE"),
        ({"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_API_BASE": ""}, "SANDBOX_URL"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SHOP_URL": "shop.example.com"}, "SHOP_URL"),
        ({"SMTP_URL": "mail.example.com"}, "SMTP_URL"),
        ({"SUPPLIER": "nobody"}, "SUPPLIER"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES"),
    ],
)
def test_a_contradictory_setting_is_named(
    sandbox_server: Sandbox, tmp_path: Path, changes: dict[str, str], named: str
) -> None:
    """What cannot be right stops the start."""
    environ = {**environment(sandbox_server, "http://127.0.0.1:8000", tmp_path), **changes}
    with pytest.raises(SettingsError, match=named):
        Settings.from_env(environ)


def test_a_secret_is_never_printed(sandbox_server: Sandbox, tmp_path: Path) -> None:
    """Settings can be logged."""
    environ = {**environment(sandbox_server, "http://127.0.0.1:8000", tmp_path), "REDIS_URL": "redis://:hidden@x/0"}
    shown = repr(Settings.from_env({**environ, "SMTP_URL": "smtp://user:hidden@127.0.0.1"}))
    for secret in ("hidden", environ["SECRET_KEY"], environ["ESIM_ACCESS_SECRET"], environ["STRIPE_SECRET_KEY"]):
        assert secret not in shown


def test_a_program_stops_with_one_line(sandbox_server: Sandbox, tmp_path: Path) -> None:
    """No traceback: the operator reads which setting is missing."""
    environ = environment(sandbox_server, "http://127.0.0.1:8000", tmp_path)
    del environ["MAIL_FROM"]
    command = [sys.executable, "-m", "flask", "--app", "app", "prepare-web"]
    outside = {key: value for key, value in os.environ.items() if key not in (*environ, "MAIL_FROM")}
    done = subprocess.run(command, cwd=ROOT, env={**outside, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["cannot start: MAIL_FROM is not set; see .env.example"]

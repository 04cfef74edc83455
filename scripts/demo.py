"""`make run`: the shop as in production (the lines of the Procfile) with its settings pointing at the sandbox.

One process per line, plus the sandbox. The first of them to end ends all of them; so does Ctrl-C.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.processes import ProcessGroup, Stopped

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_SECONDS = 90


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where the demo runs."""

    port: int
    sandbox_port: int
    instance: Path

    @property
    def shop_url(self) -> str:
        """Return the address of the shop."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """Return the address of the sandbox."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def smtp_port(self) -> int:
        """Return the port of the mailbox's SMTP server."""
        return self.sandbox_port + 1


def main() -> int:
    """Run the demo until Ctrl-C (0) or until one of its processes ends by itself (1)."""
    try:
        demo = _demo(os.environ)
        demo.instance.mkdir(parents=True, exist_ok=True)
        environment = _environment(demo, os.environ)
        with ProcessGroup(ROOT, environment) as group:
            return _run(demo, group)
    except Stopped:
        return 0
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def _demo(environ: Mapping[str, str]) -> Demo:
    try:
        port, sandbox_port = int(environ.get("PORT", "8000")), int(environ.get("SANDBOX_PORT", "8010"))
    except ValueError:
        raise DemoError("PORT and SANDBOX_PORT must be numbers: make run PORT=8000 SANDBOX_PORT=8010") from None
    instance = (ROOT / environ.get("INSTANCE", "instance")).resolve()
    demo = Demo(port=port, sandbox_port=sandbox_port, instance=instance)
    for name, number in (("PORT", port), ("SANDBOX_PORT", sandbox_port), ("SANDBOX_PORT", demo.smtp_port)):
        if not _is_free(number):
            raise DemoError(f"port {number} is taken: choose another one, as in make run {name}={number + 20}")
    return demo


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


def _environment(demo: Demo, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with every setting of the shop replaced, so that a demo never meets a real database."""
    return {
        **environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "HOST": "127.0.0.1",
        "PORT": str(demo.port),
        "SECRET_KEY": _secret_key(demo.instance / "secret_key"),
        "SHOP_URL": demo.shop_url,
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "INSTANCE": str(demo.instance),
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": "whsec_sandbox",
        "STRIPE_API_BASE": demo.sandbox_url,
        "SUPPLIER": "esim_access",
        "ESIM_ACCESS_BASE_URL": f"{demo.sandbox_url}/api/v1/open",
        "ESIM_ACCESS_CODE": "sandbox-access-code",
        "ESIM_ACCESS_SECRET": "sandbox-secret-key",
        "SMTP_URL": f"smtp://127.0.0.1:{demo.smtp_port}",
        "MAIL_FROM": "shop@example.com",
        "SANDBOX_URL": demo.sandbox_url,
        "TRUSTED_PROXIES": "0",
        "LOG_LEVEL": environ.get("LOG_LEVEL", "INFO"),
    }


def _secret_key(file: Path) -> str:
    """Return the key kept in `file`; a fresh one is made once, readable by its owner only."""
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(32))
    return file.read_text()


def _write_private(file: Path, content: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(content)


def _run(demo: Demo, group: ProcessGroup) -> int:
    flask = [sys.executable, "-m", "flask", "--app", "app"]
    group.start("sandbox", _sandbox(demo))
    _step("preparing the database", group, [*flask, "db", "upgrade"])
    sign_ins = _seed(demo, group, [*flask, "seed-demo"])
    for line in (ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        group.start(name, ["sh", "-c", command.strip()])
    if _wait_until_ready(demo, group):
        _step("", group, [*flask, "connect-supplier"])
        print(_welcome(demo, sign_ins), flush=True)
        group.wait()
    print(f"{group.ended}; everything else was stopped", file=sys.stderr)
    return 1


def _seed(demo: Demo, group: ProcessGroup, command: list[str]) -> str:
    """Fill an empty database; return its demo sign-ins, which are random and kept beside it for the next start."""
    file = demo.instance / "demo_sign_ins"
    printed = _step("", group, command)
    if "@" in printed:
        _write_private(file, printed)
    return file.read_text() if file.exists() else ""


def _sandbox(demo: Demo) -> list[str]:
    return [
        *(sys.executable, "-m", "sandbox"),
        *("--port", str(demo.sandbox_port)),
        *("--smtp-port", str(demo.smtp_port)),
        *("--state", str(demo.instance / "sandbox.sqlite3")),
        *("--shop-url", demo.shop_url),
        *("--stripe-webhook-url", f"{demo.shop_url}/webhooks/stripe"),
        *("--stripe-webhook-secret", "whsec_sandbox"),
    ]


def _step(label: str, group: ProcessGroup, command: list[str]) -> str:
    """Run one command to its end and return what it printed; raises DemoError with its output when it fails."""
    if label:
        print(f"{label} …", flush=True)
    done = subprocess.run(command, cwd=ROOT, env=group.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{done.stdout}{done.stderr}{' '.join(command[1:])} failed")
    return done.stdout.strip()


def _wait_until_ready(demo: Demo, group: ProcessGroup) -> bool:
    """Return whether shop and sandbox answer before one of the processes ends; DemoError when neither happens."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if group.ended:
            return False
        if all(_answers(url) for url in (f"{demo.shop_url}/readyz", f"{demo.sandbox_url}/")):
            return True
        time.sleep(0.2)
    raise DemoError(f"the shop did not answer at {demo.shop_url}/readyz within {READY_WITHIN_SECONDS} seconds")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address on loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _welcome(demo: Demo, sign_ins: str) -> str:
    lines = [
        "",
        f"  the shop     {demo.shop_url}/",
        f"  the mailbox  {demo.sandbox_url}/inbox/",
        f"  the sandbox  {demo.sandbox_url}/",
        "",
        *(f"  {line}" for line in sign_ins.splitlines()),
        "",
        "  Ctrl-C ends all of it.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

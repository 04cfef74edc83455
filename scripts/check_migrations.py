"""Fail when the models are ahead of the migrations: migrates an empty SQLite file, then compares, then goes back."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = (("upgrade",), ("check",), ("downgrade", "base"), ("upgrade",))


def main() -> None:
    """Run the steps; print everything that was said when one fails, and end with its code."""
    with tempfile.TemporaryDirectory() as instance:
        for step in STEPS:
            command = [sys.executable, "-m", "flask", "--app", "app", "db", *step]
            environment = {**os.environ, **_settings(instance)}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                print(done.stdout, done.stderr, f"flask db {' '.join(step)} failed", sep="\n")
                sys.exit(done.returncode)
    print("migrations: in step with the models, forth and back")


def _settings(instance: str) -> dict[str, str]:
    """Return settings that reach nothing."""
    return {
        "SECRET_KEY": "a-secret-of-the-checks-0123456789abcd",
        "SHOP_URL": "http://127.0.0.1:9",
        "DATABASE_URL": f"sqlite:///{instance}/shop.sqlite3",
        "REDIS_URL": "",
        "INSTANCE": instance,
        "STRIPE_SECRET_KEY": "sk_test_check",
        "STRIPE_WEBHOOK_SECRET": "whsec_check",
        "ESIM_ACCESS_CODE": "check",
        "SMTP_URL": "smtp://127.0.0.1:9",
        "MAIL_FROM": "shop@example.com",
        "LOG_LEVEL": "WARNING",
    }


if __name__ == "__main__":
    main()

"""`python -m sandbox`: the sandbox as a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from sandbox.server import Sandbox, SandboxSettings


def main() -> None:
    """Start the sandbox on the given ports and wait for a signal."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8010, help="HTTP port (8010)")
    parser.add_argument("--smtp-port", type=int, default=8011, help="SMTP port (8011)")
    parser.add_argument(
        "--state", type=Path, default=None, help="SQLite file to remember everything in (default: memory)"
    )
    parser.add_argument("--shop-url", default="", help="where the shop is, for links on the sandbox's pages")
    parser.add_argument("--stripe-webhook-url", default="", help="where Stripe's events are sent")
    parser.add_argument("--stripe-webhook-secret", default="whsec_sandbox", help="what they are signed with")
    arguments = parser.parse_args()
    settings = SandboxSettings(
        http_port=arguments.port,
        smtp_port=arguments.smtp_port,
        state_file=arguments.state,
        shop_url=arguments.shop_url,
        stripe_webhook_url=arguments.stripe_webhook_url,
        stripe_webhook_secret=arguments.stripe_webhook_secret,
    )
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Sandbox(settings) as sandbox:
        print(f"sandbox: {sandbox.url}  mailbox: {sandbox.url}/inbox/  SMTP: {sandbox.smtp_url}", flush=True)
        done.wait()


if __name__ == "__main__":
    main()

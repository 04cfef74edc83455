"""One process for the whole sandbox: an HTTP server for every stand-in and an SMTP server for the mailbox."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox import esim_access, home, inbox, stripe
from sandbox.store import Store


@dataclass(frozen=True, kw_only=True)
class SandboxSettings:
    """What a sandbox needs to know; ports of 0 are free ones chosen by the system."""

    http_port: int = 0
    smtp_port: int = 0
    state_file: Path | None = None
    stripe_secret_key: str = "sk_test_sandbox"
    stripe_webhook_url: str = ""
    stripe_webhook_secret: str = "whsec_sandbox"
    esim_access_code: str = "sandbox-access-code"
    esim_access_secret: str = "sandbox-secret-key"
    shop_url: str = ""


class Sandbox:
    """All stand-ins, started in this process by `start()` and stopped by `stop()`; usable as a context manager.

    `stripe`, `esim_access` and `inbox` are the Python handles of the stand-ins, for tests; everything they can do can
    also be done over HTTP (docs/sandbox.md).
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.store = Store(self.settings.state_file)
        self.stripe = stripe.StripeSandbox(self.store, self.settings)
        self.esim_access = esim_access.EsimAccessSandbox(self.store, self.settings)
        self.inbox = inbox.Inbox(self.store)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the address of the HTTP server, without a slash at its end."""
        assert self._server is not None, "the sandbox is not started"
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def smtp_url(self) -> str:
        """Return the address of the mailbox as the shop's SMTP_URL wants it."""
        return f"smtp://127.0.0.1:{self.inbox.smtp_port}"

    def start(self) -> Sandbox:
        """Listen on 127.0.0.1; raises OSError when a port is taken."""
        self.inbox.start(self.settings.smtp_port)
        self._server = make_server(
            "127.0.0.1", self.settings.http_port, self.app(), threaded=True, request_handler=_QuietHandler
        )
        self.stripe.start(self.url)
        self.esim_access.start(self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, name="sandbox-http", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and close the store."""
        self.stripe.stop()
        self.esim_access.stop()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self.inbox.stop()
        self.store.close()

    def app(self) -> Flask:
        """Return the WSGI application that serves every stand-in on one port."""
        app = Flask("sandbox", root_path=str(Path(__file__).parent), static_folder=None)
        app.register_blueprint(home.blueprint(self.settings))
        app.register_blueprint(self.stripe.blueprint())
        app.register_blueprint(self.esim_access.blueprint())
        app.register_blueprint(self.inbox.blueprint())
        return app

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep the terminal quiet; every stand-in keeps a request log of its own."""

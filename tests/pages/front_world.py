"""A shop with the demo catalogue, for the tests of its public pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event

from app import create_app
from config import Settings
from models import db
from services.demo_catalogue import seed_catalogue
from services.shop import Shop

ENVIRONMENT = {
    "SECRET_KEY": "a-secret-of-the-tests-0123456789abcdef",
    "SHOP_URL": "https://shop.example",
    "STRIPE_SECRET_KEY": "sk_test_front",
    "STRIPE_WEBHOOK_SECRET": "whsec_front",
    "ESIM_ACCESS_CODE": "code",
    "SMTP_URL": "smtp://127.0.0.1:1",
    "MAIL_FROM": "Monaco travel card <help@shop.example>",
}


def make_shop(instance: Path) -> Flask:
    """Return a shop whose state is in `instance`, with the demo plans on the shelf."""
    app = create_app(Settings.from_env({**ENVIRONMENT, "INSTANCE": str(instance)}))
    with app.app_context():
        db.create_all()
        shop: Shop = app.extensions["shop"]
        with shop.transaction() as session:
            seed_catalogue(session)
    return app


@contextmanager
def counted_statements(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements of the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def squeezed(html: str) -> str:
    """Return `html` with every run of white space as one blank."""
    return re.sub(r"\s+", " ", html).strip()

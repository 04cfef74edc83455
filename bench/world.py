"""A shop of its own for the measurement: a fresh folder, the demo catalogue, one eSIM that was bought and is in use."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import create_app
from bench.client import USER_AGENT
from bench.server import ROOT
from config import Settings
from models import Account, Attempt, Esim, Order, OrderKind, db
from sandbox.server import Sandbox
from services import usage
from services.catalogue import get_plan
from services.demo_accounts import TRAVELLER, seed_accounts
from services.demo_catalogue import seed_catalogue
from services.fulfilment import fulfil
from services.identifiers import random_key
from services.orders import CONSENTS, Wish, place_order
from services.payments.attempts import start_payment
from services.payments.settlement import settle
from services.shop import Shop

PLAN = "monaco-3gb-30-days"
CURRENCY = "EUR"
USED_PERCENT = 40
_SECRET_KEY = "a-secret-of-the-bench-0123456789abcdef"
_PASSING = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")


@dataclass(frozen=True, kw_only=True)
class World:
    """What there is to measure; `environment` is that of the shop's processes."""

    environment: dict[str, str]
    esim: str
    password: str

    @property
    def plan(self) -> str:
        """Return the slug of the plan whose page is measured."""
        return PLAN

    def app(self) -> Flask:
        """Return another instance of the shop, inside this process."""
        return create_app(Settings.from_env(self.environment))


def build(sandbox: Sandbox, instance: Path, port: int) -> World:
    """Return a shop in the empty folder `instance` whose traveller owns an active eSIM with some data used."""
    sandbox.esim_access.set_allocation(seconds=0, polls=0, held=False)
    environment = shop_environment(sandbox, instance, port)
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    app = create_app(Settings.from_env(environment))
    with app.app_context():
        shop: Shop = app.extensions["shop"]
        with shop.transaction() as session:
            seed_catalogue(session)
            traveller, _operator = seed_accounts(session, shop.clock.now())
        esim = _buy(shop, sandbox)
        public_id = esim.public_id
        db.session.remove()
        db.engine.dispose()
    return World(environment=environment, esim=public_id, password=traveller.password)


def sign_in(world: World, port: int) -> str:
    """Sign the traveller in over HTTP, as a browser does, and return the value of the `Cookie` header."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.addheaders = [("User-Agent", USER_AGENT)]
    address = f"http://127.0.0.1:{port}/en/sign-in"
    with browser.open(address, timeout=20) as answer:
        token = re.search(r'name="csrf_token" value="([^"]+)"', answer.read().decode())
    assert token is not None, "the sign-in form has no token"
    form = {"csrf_token": token[1], "email": TRAVELLER, "password": world.password}
    with browser.open(address, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
        assert answer.url.partition("#")[0].endswith("/en/account"), f"signing in led to {answer.url}"
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def shop_environment(sandbox: Sandbox, instance: Path, port: int) -> dict[str, str]:
    """Return the environment of a shop at 127.0.0.1 that uses this sandbox; of our own it holds next to nothing."""
    passing = {name: os.environ[name] for name in _PASSING if name in os.environ}
    return {
        **passing,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{passing.get('PATH', os.defpath)}",
        "SECRET_KEY": _SECRET_KEY,
        "SHOP_URL": f"http://127.0.0.1:{port}",
        "INSTANCE": str(instance),
        "STRIPE_SECRET_KEY": sandbox.settings.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRET": sandbox.settings.stripe_webhook_secret,
        "STRIPE_API_BASE": sandbox.url,
        "ESIM_ACCESS_BASE_URL": f"{sandbox.url}/api/v1/open",
        "ESIM_ACCESS_CODE": sandbox.settings.esim_access_code,
        "ESIM_ACCESS_SECRET": sandbox.settings.esim_access_secret,
        "SMTP_URL": sandbox.smtp_url,
        "MAIL_FROM": "shop@example.com",
        "LOG_LEVEL": "WARNING",
    }


def _buy(shop: Shop, sandbox: Sandbox) -> Esim:
    """Buy, pay, fulfil, install, use: by the services that the pages call."""
    with shop.transaction() as session:
        order_id = _order(session, shop).id
    start_payment(shop, order_id)
    attempt = db.session.scalars(select(Attempt).where(Attempt.order_id == order_id)).one()
    assert attempt.session_id is not None
    sandbox.stripe.pay(attempt.session_id)
    settle(shop, attempt.session_id)
    fulfil(shop, order_id)
    esim = db.session.scalars(select(Esim).join(Order, Order.esim_id == Esim.id).where(Order.id == order_id)).one()
    sandbox.esim_access.connect(esim.supplier_esim_id)
    sandbox.esim_access.burn(esim.supplier_esim_id, percent=USED_PERCENT)
    usage.read(shop, esim.id, force=True)
    db.session.expire_all()
    return esim


def _order(session: Session, shop: Shop) -> Order:
    account = session.scalars(select(Account).where(Account.email == TRAVELLER)).one()
    plan = get_plan(session, PLAN, "en", CURRENCY)
    wish = Wish(
        checkout_key=random_key(),
        kind=OrderKind.PURCHASE,
        plan=plan,
        days=plan.days_min,
        email=account.email,
        language="en",
        consents=CONSENTS,
    )
    return place_order(session, wish, account, shop.clock.now())

"""Every page of the shop in every state that looks different, for the tests that look at all of them.

A GET address is either visited here or stands in NOT_PAGES; `test_every_address_is_looked_at_or_excused` holds that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from flask import Flask
from playwright.sync_api import Page

from models import EsimStatus, MailStatus, Order, OrderKind, TokenPurpose, db
from sandbox.server import Sandbox
from services import account_tokens, links, usage
from services.fulfilment import fulfil
from services.money import GIGABYTE
from services.payments.attempts import start_payment
from services.renewal_rules import EsimState, after_renewal
from services.shop import Shop
from tests.factories import PASSWORD, Factories
from tests.page_client import PageClient
from tests.staff_world import change_fulfilment, make_mail, make_refund

DAILY_PLAN = "monaco-1gb-a-day"
NOT_PAGES = {
    "health.front_door": "leads to the home page of a language",
    "health.healthz": "one word for machines",
    "health.metrics": "figures for machines",
    "health.readyz": "one word for machines",
    "health.robots": "a file for crawlers",
    "health.sitemap": "a file for crawlers",
    "health.worker": "a script",
    "account.pack": "the page of account.copy, but for one sentence, as a file",
    "account.qr": "a picture",
    "account.reminder": "a file for calendars",
    "orders.pack": "the page of orders.copy, but for one sentence, as a file",
    "orders.qr": "a picture",
    "orders.reminder": "a file for calendars",
    "renewal.your_esims": "a fragment of the renewal guide, which is visited signed in and not",
    # The staff's pages are in English, for a handful of people; the sign-in stands for their frame.
    "staff.audit": "for staff",
    "staff.audit_csv": "for staff, a file",
    "staff.order": "for staff",
    "staff.orders": "for staff",
    "staff.page_text": "for staff",
    "staff.plan_text": "for staff",
    "staff.set_up": "for staff",
    "staff.stuck": "for staff",
    "staff.texts": "for staff",
    "staff.today": "for staff",
    "staff.today_balance": "for staff",
    "staff.today_csv": "for staff, a file",
}


class Act(Protocol):
    """What is done on a page to come to a state: in a browser, and by a client that runs no scripts."""

    def in_browser(self, page: Page) -> None:
        """Do it in a browser; returns when the state is reached."""

    def plainly(self, client: PageClient) -> None:
        """Do it without scripts; the state is the client's page."""


class Stay:
    """Does nothing on the page that was opened."""

    def in_browser(self, page: Page) -> None:
        """Do nothing."""

    def plainly(self, client: PageClient) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class WaitFor:
    """Waits for what a script puts on the page; without scripts it is not there."""

    selector: str

    def in_browser(self, page: Page) -> None:
        """Wait until it is there."""
        page.locator(self.selector).first.wait_for()

    def plainly(self, client: PageClient) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Send:
    """Fills in a form and sends it, with every box ticked when it is to be taken (`whole`)."""

    form: str
    values: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False

    def in_browser(self, page: Page) -> None:
        """Send it; the answer has taken its place when this returns, as page or by htmx."""
        for name, value in self.values.items():
            # Some fields are looked at, and swapped, when they are left: nothing may move any more at the button.
            page.fill(f'{self.form} [name="{name}"]', value)
        if self.whole:
            with page.expect_response("**/email"):
                page.locator("#email").blur()
            for box in page.locator(f"{self.form} input[type=checkbox]").all():
                box.check()
        sent = page.locator(self.form).first
        sent.evaluate("form => { form.dataset.sent = 'yes'; }")
        sent.locator('button[type="submit"]').last.click()
        page.wait_for_function("selector => !document.querySelector(selector)", arg=f"{self.form}[data-sent]")
        page.wait_for_load_state()

    def plainly(self, client: PageClient) -> None:
        """Send it; the page is the answer."""
        assert client.page is not None
        boxes = client.page.select(f"{self.form} input[type=checkbox]") if self.whole else []
        client.send(self.form, {**self.values, **{str(box["name"]): True for box in boxes}})


@dataclass(frozen=True)
class Visit:
    """A page in one state: the address and, where that is not all, what to `do` there to come to the state."""

    endpoint: str
    state: str
    path: str
    signed_in: bool = False
    do: Act = field(default_factory=Stay)

    @property
    def name(self) -> str:
        """Return what a failed test calls it."""
        return f"{self.endpoint} {self.state}".strip()

    @property
    def acts(self) -> bool:
        """Return whether the state is reached by doing something on the page, which uses up what it is done with."""
        return not isinstance(self.do, Stay)


class World:
    """A shop in which every page has something to show; `account` owns all of it."""

    def __init__(self, app: Flask, sandbox: Sandbox, language: str) -> None:
        self._app = app
        self._shop: Shop = app.extensions["shop"]
        self._sandbox = sandbox
        self._factories = Factories(self._shop)
        self._language = language
        self.account = self._factories.make_account(language=language)
        texts = {text.language: text.name for text in self._factories.any_plan().texts}
        self._plan_name = texts[language]

    def sign_in(self, page: Page) -> None:
        """Sign the owner of everything in."""
        page.goto(f"/{self._language}/sign-in")
        page.fill('main input[name="email"]', self.account.email)
        page.fill('main input[name="password"]', PASSWORD)
        page.click('main form button[type="submit"]')
        page.wait_for_url(f"**/{self._language}/account*")

    def visits(self) -> list[Visit]:
        """Return every page to look at, in an order in which one leaves the next as it is to be."""
        return [*self._public(), *self._doors(), *self._checkout(), *self._orders(), *self._account()]

    def _visit(self, endpoint: str, state: str = "", **options: object) -> Visit:
        """Return the visit of an endpoint; `query` is added to its address, other options are its arguments."""
        do, signed_in = options.pop("do", Stay()), bool(options.pop("signed_in", False))
        query = options.pop("query", "")
        with self._app.test_request_context():
            adapter = self._app.url_map.bind("")
            values = {"lang": self._language, **options}
            rule = next(adapter.map.iter_rules(endpoint))
            path = adapter.build(endpoint, {name: values[name] for name in values if name in rule.arguments})
        return Visit(endpoint, state, f"{path}{query}", signed_in, do)  # type: ignore[arg-type]

    def _public(self) -> list[Visit]:
        plan = self._factories.any_plan().slug
        abroad = self._factories.any_plan("CH").slug
        endpoints = ("guide", "compatibility", "install", "help", "terms", "privacy", "accessibility")
        return [
            self._visit("catalogue.home"),
            self._visit("catalogue.plans"),
            self._visit("catalogue.plans", "filtered", query="?data=1&days=30"),
            self._visit("catalogue.plan", slug=plan),
            self._visit("catalogue.plan", "by the day", slug=DAILY_PLAN),
            self._visit("catalogue.plan", "not for Monaco", slug=abroad),
            self._visit("renewal.guide", "stranger", do=WaitFor("#your-esims a[href$=sign-in]")),
            *(self._visit(f"pages.{name}") for name in endpoints),
            self._visit("pages.compatibility", "found", query="?phone=iphone"),
            self._visit("pages.compatibility", "not on the list", query="?phone=galaxy+s21+fe"),
            Visit("error", "404", f"/{self._language}/nothing-here"),
        ]

    def _doors(self) -> list[Visit]:
        """Return the pages on the way into an account."""
        now = self._shop.clock.now()
        taken = self._factories.make_account().email
        other = self._factories.make_account(language=self._language)
        with self._shop.transaction() as session:
            other = session.merge(other)
            claim = account_tokens.issue(session, other, TokenPurpose.CLAIM, now).secret
            reset = account_tokens.issue(session, other, TokenPurpose.PASSWORD_RESET, now).secret
            sign_in = account_tokens.issue(session, other, TokenPurpose.SIGN_IN, now).secret
            move = account_tokens.issue(session, other, TokenPurpose.EMAIL_CHANGE, now, taken).secret
        return [
            self._visit("account.sign_in"),
            self._visit("account.sign_in", "refused", do=Send("main form")),
            self._visit("account.sign_up"),
            self._visit("account.sign_up", "refused", do=Send("main form")),
            self._visit("account.password_reset"),
            self._visit("account.password_reset", "refused", do=Send("main form")),
            self._visit("account.link_sent"),
            self._visit("account.sign_in_link"),
            self._visit("account.sign_in_link", "refused", do=Send("main form")),
            self._visit("account.sign_in_link_sent"),
            self._visit("account.open_by_link", token=sign_in),
            self._visit("account.open_by_link", "ended", token="x"),
            self._visit("account.claim", token=claim),
            self._visit("account.claim", "refused", token=claim, do=Send("main form")),
            self._visit("account.claim", "ended", token="x"),
            self._visit("account.new_password", token=reset),
            self._visit("account.confirm_email", token=move),
            self._visit("account.confirm_email", "taken", token=move, do=Send("main form")),
            self._visit("staff.sign_in"),
        ]

    def _checkout(self) -> list[Visit]:
        plan = self._factories.any_plan().slug
        return [
            self._visit("checkout.checkout", slug=plan),
            self._visit("checkout.checkout", "by the day", slug=DAILY_PLAN),
            self._visit("checkout.checkout", "refused", slug=plan, do=Send('main form[method="post"]')),
            self._visit("checkout.checkout", "no payment", slug=plan, do=_PayInVain(self._sandbox)),
            self._visit("checkout.checkout", "mistyped", slug=plan, do=_Mistype()),
            self._visit("checkout.checkout", "renew instead", slug=plan, signed_in=True),
        ]

    def _orders(self) -> list[Visit]:
        orders = {state: self._order(state) for state in ("pending", "paid", "ordered", "verified", "held")}
        orders |= {state: self._order(state) for state in ("refunded", "cancelled")}
        make_refund(self._shop, orders["refunded"])
        for reason in ("not_verified", "disputed", "supplier_slow", "late"):
            orders[reason] = self._order("ordered")
            late = {"late_at": self._shop.clock.now()} if reason == "late" else {"reason": reason}
            change_fulfilment(self._shop, orders[reason], **late)
        orders["mail refused"] = self._order("verified")
        make_mail(self._shop, orders["mail refused"], MailStatus.FAILED)
        orders["renewed"], orders["renewal under way"] = self._renewal("verified"), self._renewal("ordered")
        paying, corrected = self._order("pending"), self._order("verified", corrections=1)
        start_payment(self._shop, paying.id)
        settings = self._shop.settings
        old = links.order_key(settings, Order(public_id=corrected.public_id, corrections=0))
        verified = orders["verified"].public_id
        refuse = Send('main form[method="post"]', {"email": "nobody"})
        return [
            self._visit(
                "orders.order",
                "opened by link, waiting for Stripe",
                public_id=paying.public_id,
                query=f"?key={links.order_key(settings, paying)}",
            ),
            self._visit("orders.order", "link ended", public_id=corrected.public_id, query=f"?key={old}"),
            *(
                self._visit("orders.order", state, public_id=order.public_id, signed_in=True)
                for state, order in orders.items()
            ),
            self._visit("orders.copy", public_id=verified, signed_in=True),
            self._visit("orders.receipt", public_id=verified, signed_in=True),
            self._visit("orders.receipt", "refunded", public_id=orders["refunded"].public_id, signed_in=True),
            self._visit("orders.recipient", public_id=verified, signed_in=True),
            self._visit("orders.recipient", "refused", public_id=verified, signed_in=True, do=refuse),
        ]

    def _order(self, state: str, **columns: object) -> Order:
        named = {"plan_name": self._plan_name, "language": self._language, **columns}
        return self._factories.make_order(state, self.account, **named)

    def _renewal(self, state: str) -> Order:
        now = self._shop.clock.now()
        esim = self._factories.make_esim(self.account)
        before = EsimState(data_left=GIGABYTE, ends_at=now + timedelta(days=2), days=7, as_of=now)
        after = after_renewal(before, 3 * GIGABYTE, 30)
        kept = {"shown_before": before.to_json(), "shown_after": after.to_json()}
        return self._order(state, kind=OrderKind.RENEWAL, esim_id=esim.id, **kept)

    def _account(self) -> list[Visit]:
        now = self._shop.clock.now()
        ends: dict[str, Any] = {"status": EsimStatus.EXPIRED, "expires_at": now - timedelta(days=1)}
        unused: dict[str, Any] = {"activated_at": None, "expires_at": None, "install_by": now + timedelta(days=90)}
        spent: dict[str, Any] = {"total_bytes": GIGABYTE, "used_bytes": GIGABYTE}
        low, long_ago = int(4.9 * GIGABYTE), now - timedelta(days=1)
        states = {
            "new": self._factories.make_esim(self.account, status=EsimStatus.NEW, **unused),
            "active": self._factories.make_esim(self.account, nickname="Ana", used_bytes=GIGABYTE),
            "low": self._factories.make_esim(self.account, total_bytes=5 * GIGABYTE, used_bytes=low),
            "used up": self._factories.make_esim(self.account, status=EsimStatus.DEPLETED, **spent),
            "ended": self._factories.make_esim(self.account, **ends),
            "silent": self._factories.make_esim(self.account, usage_as_of=long_ago, usage_silent_since=long_ago),
            "never read": self._factories.make_esim(self.account, total_bytes=None, used_bytes=None, usage_as_of=None),
        }
        renewable, installed = self._bought(), self._order("verified").esim
        assert installed is not None
        account = [self._visit(f"account.{name}", signed_in=True) for name in ("overview", "settings")]
        refuse = Send('main form[action$="/settings/email"]')
        return [
            self._visit("renewal.guide", "owner", signed_in=True, do=WaitFor("#your-esims .row")),
            *account,
            self._visit("account.overview", "older", query="?page=2", signed_in=True),
            self._visit("account.settings", "refused", signed_in=True, do=refuse),
            *(
                self._visit("account.esim", state, public_id=esim.public_id, signed_in=True)
                for state, esim in states.items()
            ),
            self._visit("account.esim", "codes", public_id=installed.public_id, query="?install=1", signed_in=True),
            self._visit("account.copy", public_id=installed.public_id, signed_in=True),
            self._visit("renewal.choose", public_id=renewable, signed_in=True, do=WaitFor("#preview")),
            self._visit("renewal.choose", "refused", public_id=renewable, signed_in=True, do=Send("#preview form")),
            self._visit("renewal.choose", "not possible", public_id=states["ended"].public_id, signed_in=True),
        ]

    def _bought(self) -> str:
        """Return the eSIM that was really bought from the sandbox and is in use, so that it can be renewed."""
        slug = self._factories.any_plan().slug
        order = self._factories.pay(
            self._sandbox, self._factories.place_order(self.account, slug, language=self._language)
        )
        fulfil(self._shop, order.id)
        db.session.expire_all()
        esim = db.session.get_one(Order, order.id).esim
        assert esim is not None
        self._sandbox.esim_access.connect(esim.supplier_esim_id)
        usage.read(self._shop, esim.id, force=True)
        db.session.expire_all()
        return esim.public_id


@dataclass(frozen=True)
class _PayInVain:
    """Sends the checkout while Stripe does not answer."""

    sandbox: Sandbox

    def in_browser(self, page: Page) -> None:
        self._in_vain(lambda send: send.in_browser(page))

    def plainly(self, client: PageClient) -> None:
        self._in_vain(lambda send: send.plainly(client))

    def _in_vain(self, act: Callable[[Send], None]) -> None:
        self.sandbox.stripe.fault("503", path="/v1/checkout/sessions*", count=None)
        act(Send('main form[method="post"]', {"email": "ana@example.org"}, whole=True))
        self.sandbox.stripe.faults.clear()


class _Mistype:
    """Enters an address that looks mistyped."""

    def in_browser(self, page: Page) -> None:
        page.fill("#email", "ana@gmial.com")
        page.locator("#email").blur()
        page.locator("#email-field [role=status]").wait_for()

    def plainly(self, client: PageClient) -> None:
        client.send('main form[method="post"]', {"email": "ana@gmial.com"})

"""Every mail in every language, with the same data: nothing of the source is left in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models import Account, Esim, Mail, Order, OrderKind, Refund
from services.languages import LANGUAGES
from services.mail import messages
from services.mail.messages import REFUND_REASONS, ReminderReason
from services.mail.outbox import Draft
from tests.languages.reading import faults_of_page, faults_of_texts
from tests.page_rules import parse
from tests.services.mail_world import (
    GIGABYTE,
    Letterbox,
    MailWorld,
    add_account,
    add_esim,
    add_order,
    add_plan,
    open_shop,
)

TEMPLATES = Path(__file__).parent.parent.parent / "templates" / "mail"
URL = "https://shop.example/link"
BEFORE = {
    "total_bytes": 5 * GIGABYTE,
    "used_bytes": 4 * GIGABYTE,
    "activated_at": "2026-11-17T14:00:00+00:00",
    "expires_at": "2026-11-24T14:00:00+00:00",
}
AFTER = {**BEFORE, "total_bytes": 10 * GIGABYTE, "expires_at": "2026-12-01T14:00:00+00:00"}
SILENT = {"total_bytes": None, "used_bytes": None, "activated_at": None, "expires_at": None}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailWorld]:
    opened = open_shop(tmp_path_factory.mktemp("shop"), Letterbox())
    with opened.app.app_context():
        yield opened


class Reader:
    """Somebody who bought and renewed in one language, and gets every mail there is."""

    def __init__(self, world: MailWorld, code: str) -> None:
        self._shop = world.shop
        with world.shop.transaction() as session:
            number = session.query(Account).count()
            plan = add_plan(session, slug=f"plan-{code}", supplier_plan_code=f"P{number}")
            self.account: Account = add_account(session, code, f"{code}@example.org")
            self.order: Order = add_order(session, self.account, plan, plan_name="5G")
            self.esim: Esim = add_esim(
                session, self.account, plan, self.order, public_id=f"SIM{number:07}", iccid=f"{number:019}"
            )
            self.renewal: Order = add_order(
                session, self.account, plan, kind=OrderKind.RENEWAL, esim_id=self.esim.id, plan_name="5G"
            )

    def all_mails(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield what it is called, subject, text and HTML of each."""
        for name, write in self._writers():
            with self._shop.transaction() as session:
                ids = set(session.scalars(select(Mail.id)))
                write()
                new = session.scalars(select(Mail).where(Mail.id.not_in(ids))).all()
                assert new, f"{name} was not written"
                yield from ((f"{name} {mail.kind}", mail.subject, mail.text_body, mail.html_body) for mail in new)
        for name, draft in self._reminders():
            yield name, draft.subject, draft.text, draft.html

    def _writers(self) -> list[tuple[str, Callable[[], int | None]]]:
        shop, account, order, renewal, esim = self._shop, self.account, self.order, self.renewal, self.esim
        refunds = enumerate((*REFUND_REASONS, "goodwill"), start=1)
        return [
            ("receipt", lambda: messages.receipt(shop, order)),
            ("receipt of a renewal", lambda: messages.receipt(shop, renewal)),
            ("esim_ready", lambda: messages.esim_ready(shop, order, esim, URL)),
            ("renewal_confirmed", lambda: messages.renewal_confirmed(shop, renewal, esim, BEFORE, AFTER)),
            ("order_delayed", lambda: messages.order_delayed(shop, order)),
            ("payment_failed", lambda: messages.payment_failed(shop, order, order.id)),
            ("claim", lambda: messages.claim(shop, account, account.id, URL)),
            ("password_reset", lambda: messages.password_reset(shop, account, account.id, URL)),
            ("sign_in_link", lambda: messages.sign_in_link(shop, account, account.id, URL)),
            ("email_change", lambda: messages.email_change(shop, account, account.id, "b@example.org", URL)),
            *((f"order_refunded for {cause}", self._refund(number, cause)) for number, cause in refunds),
        ]

    def _refund(self, number: int, cause: str) -> Callable[[], int | None]:
        refund = Refund(id=number + 100 * self.order.id, amount_minor=1290, currency="EUR")
        return lambda: messages.order_refunded(self._shop, self.order, refund, cause)

    def _reminders(self) -> Iterator[tuple[str, Draft]]:
        for reason in ReminderReason:
            for renewable in (True, False):
                draft = messages.renewal_reminder(
                    self._shop,
                    self.esim,
                    reason,
                    package_id=1,
                    recipient=self.account.email,
                    language=self.account.language,
                    url=URL,
                    renewable=renewable,
                )
                yield f"{draft.kind}, renewable: {renewable}", draft


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_mail_is_in_its_language(world: MailWorld, code: str) -> None:
    """Subject, text and HTML; no text of the source, no placeholder, the right `lang` and `dir`."""
    language = LANGUAGES[code]
    faults, seen = [], set()
    for name, subject, text, html in Reader(world, code).all_mails():
        seen.add(name)
        lines = [" ".join(line.split()) for line in (subject, *text.splitlines())]
        found = [*faults_of_texts(lines, language), *faults_of_page(parse(html), language)]
        # A line of facts: "label: value".
        parts = [part.strip() for line in lines for part in line.split(": ") if ": " in line]
        found += faults_of_texts([part for part in parts if "http" not in part], language)
        faults += [f"{name}: {fault}" for fault in found]
    assert len(seen) == 15 + 2 * len(ReminderReason)
    assert not faults, "\n".join(faults)


def test_no_mail_is_left_out(tmp_path: Path) -> None:
    """A folder of templates that no mail above was made of fails here."""
    world = open_shop(tmp_path, Letterbox())
    environment = world.app.jinja_env
    load, rendered = environment.get_template, set()

    def noting(name: str, *arguments: object, **options: object) -> object:
        rendered.add(name)
        return load(name, *arguments, **options)  # type: ignore[arg-type]

    with world.app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "get_template", noting)
        assert list(Reader(world, "en").all_mails())
    folders = {path.name for path in TEMPLATES.iterdir() if path.is_dir()}
    assert {name.split("/")[1] for name in rendered} >= folders

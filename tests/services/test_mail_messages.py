"""What the mails say: the important ones whole, in every language that is written down in mail_texts/."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from html5lib import HTMLParser
from sqlalchemy import select

from models import Account, Esim, Mail, Order, OrderKind, Refund, db
from services import links
from services.languages import LANGUAGES
from services.mail import messages
from tests.services.mail_world import (
    GIGABYTE,
    NOW,
    Letterbox,
    MailWorld,
    add_account,
    add_esim,
    add_order,
    add_plan,
    open_shop,
)

TEXTS = Path(__file__).parent / "mail_texts"
CLAIM_URL = "https://shop.example/en/claim/claim-secret"
BEFORE = {
    "total_bytes": 5 * GIGABYTE,
    "used_bytes": 4 * GIGABYTE,
    "activated_at": "2026-11-17T14:00:00+00:00",
    "expires_at": "2026-11-24T14:00:00+00:00",
}
AFTER = {**BEFORE, "total_bytes": 10 * GIGABYTE, "expires_at": "2026-12-01T14:00:00+00:00"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MailWorld]:
    opened = open_shop(tmp_path, Letterbox())
    with opened.app.app_context():
        yield opened


class Purchase:
    """One buyer with a purchase, its eSIM and a renewal, in one language."""

    def __init__(self, world: MailWorld, language: str = "en", smdp_address: str = "rsp.shop.example") -> None:
        self.world = world
        with world.shop.transaction() as session:
            plan = add_plan(session)
            self.account: Account = add_account(session, language)
            self.order: Order = add_order(session, self.account, plan)
            self.esim: Esim = add_esim(
                session, self.account, plan, self.order, smdp_address=smdp_address, confirmation_code="4711"
            )
            self.renewal: Order = add_order(
                session, self.account, plan, kind=OrderKind.RENEWAL, esim_id=self.esim.id, amount_minor=990
            )

    def write(self, message: Callable[[], int | None]) -> Mail:
        with self.world.shop.transaction() as session:
            mail_id = message()
            assert mail_id is not None
            return session.get_one(Mail, mail_id)


def write_message(purchase: Purchase, kind: str) -> Mail:
    shop = purchase.world.shop
    writers: dict[str, Callable[[], int | None]] = {
        "receipt": lambda: messages.receipt(shop, purchase.order),
        "receipt-renewal": lambda: messages.receipt(shop, purchase.renewal),
        "esim-ready": lambda: messages.esim_ready(shop, purchase.order, purchase.esim, CLAIM_URL),
        "renewal-confirmed": lambda: messages.renewal_confirmed(shop, purchase.renewal, purchase.esim, BEFORE, AFTER),
    }
    return purchase.write(writers[kind])


def texts() -> list[tuple[str, str]]:
    return sorted((path.name.split(".")[0], path.name.split(".")[1]) for path in TEXTS.glob("*.txt"))


@pytest.mark.parametrize(("kind", "language"), texts())
def test_a_mail_says_word_for_word(world: MailWorld, kind: str, language: str) -> None:
    mail = write_message(Purchase(world, language), kind)

    assert f"{mail.subject}\n\n{mail.text_body}" == (TEXTS / f"{kind}.{language}.txt").read_text(encoding="utf-8")
    assert mail.recipient == "buyer@example.org"
    assert mail.language == language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["receipt", "receipt-renewal", "esim-ready", "renewal-confirmed"])
def test_the_html_part_is_valid_and_holds_the_same_links(world: MailWorld, kind: str, language: str) -> None:
    mail = write_message(Purchase(world, language), kind)

    document = HTMLParser(strict=True, namespaceHTMLElements=False).parse(mail.html_body)
    assert document.attrib["lang"] == LANGUAGES[language].html
    assert document.attrib["dir"] == LANGUAGES[language].direction
    html_links = {link.attrib["href"] for link in document.iter("a")}
    assert html_links == set(re.findall(r"https://\S+", mail.text_body))
    assert not [element for element in document.iter() if "style" in element.attrib]


def test_a_receipt_needs_a_payment(world: MailWorld) -> None:
    purchase = Purchase(world)
    purchase.order.paid_at = None

    with pytest.raises(ValueError, match="payment"):
        messages.receipt(world.shop, purchase.order)
    db.session.rollback()


def test_the_esim_mail_carries_its_picture_and_no_secret_in_its_subject(world: MailWorld) -> None:
    purchase = Purchase(world)
    mail = write_message(purchase, "esim-ready")

    (picture,) = mail.pictures
    assert (picture["id"], picture["name"], picture["type"]) == ("qr@esim", "esim-qr.png", "image/png")
    assert b64decode(picture["base64"]).startswith(b"\x89PNG")
    assert 'src="cid:qr@esim"' in mail.html_body
    for secret in (purchase.esim.matching_id, "4711", "claim-secret"):
        assert secret not in mail.subject
        assert secret in mail.text_body
        assert secret in mail.html_body


def test_an_esim_of_the_sandbox_is_marked_in_both_parts(world: MailWorld) -> None:
    mail = write_message(Purchase(world, smdp_address="smdp.example.com"), "esim-ready")

    assert "DEMO – not installable" in mail.text_body
    assert mail.html_body.count("DEMO – not installable") == 2


def test_a_buyer_with_a_password_gets_no_claim_link(world: MailWorld) -> None:
    purchase = Purchase(world)
    mail = purchase.write(lambda: messages.esim_ready(world.shop, purchase.order, purchase.esim, None))

    assert "claim" not in mail.text_body
    assert "claim" not in mail.html_body


def test_a_nickname_breaks_neither_subject_nor_page(world: MailWorld) -> None:
    purchase = Purchase(world)
    purchase.esim.nickname = "<b>My\r\nBcc: all@example.org"
    db.session.commit()
    mail = write_message(purchase, "renewal-confirmed")

    assert mail.subject == "Renewed: <b>My Bcc: all@example.org, eSIM ending in 0222"
    assert "<b>" not in mail.html_body
    assert "&lt;b&gt;My" in mail.html_body


def test_a_renewal_of_which_little_is_known_says_so(world: MailWorld) -> None:
    purchase = Purchase(world)
    silent = {"total_bytes": None, "used_bytes": None, "activated_at": None, "expires_at": None}
    mail = purchase.write(
        lambda: messages.renewal_confirmed(world.shop, purchase.renewal, purchase.esim, silent, AFTER)
    )

    assert "Before\nData left: unknown\nValid until: not started\n" in mail.text_body


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ("surplus", "This order was paid twice, so the second payment goes back."),
        ("refused", "The supplier could not deliver this plan."),
        ("goodwill", "We have returned €12.90 for order TESTORD001, the way you paid."),
    ],
)
def test_a_refund_says_how_much_and_why(world: MailWorld, cause: str, sentence: str) -> None:
    purchase = Purchase(world)
    refund = Refund(id=3, amount_minor=1290, currency="EUR")
    mail = purchase.write(lambda: messages.order_refunded(world.shop, purchase.order, refund, cause))

    assert mail.kind == "refund-3"
    assert mail.subject == "Refund for order TESTORD001"
    assert sentence in mail.text_body
    assert "goodwill" not in mail.text_body


def test_two_refunds_are_two_mails_and_one_refund_is_one(world: MailWorld) -> None:
    purchase = Purchase(world)
    with world.shop.transaction():
        for number in (3, 3, 4):
            refund = Refund(id=number, amount_minor=1290, currency="EUR")
            messages.order_refunded(world.shop, purchase.order, refund, "surplus")

    assert sorted(db.session.scalars(select(Mail.kind))) == ["refund-3", "refund-4"]


def test_a_delayed_order_and_a_failed_payment_say_what_happens_next(world: MailWorld) -> None:
    purchase = Purchase(world)
    delayed = purchase.write(lambda: messages.order_delayed(world.shop, purchase.order))
    failed = purchase.write(lambda: messages.payment_failed(world.shop, purchase.order, 9))

    assert delayed.kind == "order-delayed"
    assert "Nothing is lost and you need not pay again." in delayed.text_body
    assert failed.kind == "payment-failed-9"
    assert "nothing was charged and nothing was ordered" in failed.text_body
    assert links.order_url(world.shop, purchase.order) in failed.text_body


def test_one_time_links_stand_in_the_bodies_only(world: MailWorld) -> None:
    account = Purchase(world).account
    url = "https://shop.example/en/claim/one-time-secret"
    with world.shop.transaction():
        messages.claim(world.shop, account, 1, url)
        messages.password_reset(world.shop, account, 2, url)
        messages.email_change(world.shop, account, 3, "new@example.org", url)

    mails = {mail.kind: mail for mail in db.session.scalars(select(Mail))}
    assert set(mails) == {"claim-1", "password-reset-2", "email-change-3", "email-notice-3"}
    notice = mails.pop("email-notice-3")
    assert notice.recipient == "buyer@example.org"
    assert "one-time-secret" not in notice.text_body + notice.html_body
    assert mails["email-change-3"].recipient == "new@example.org"
    for mail in mails.values():
        assert "one-time-secret" not in mail.subject
        assert url in mail.text_body
        assert url in mail.html_body


def test_an_order_opens_with_its_own_key_only(world: MailWorld) -> None:
    purchase = Purchase(world)
    settings, order = world.shop.settings, purchase.order
    parts = urlsplit(links.order_url(world.shop, order))
    (key,) = parse_qs(parts.query)["key"]

    assert (parts.hostname, parts.path) == ("shop.example", "/en/orders/TESTORD001")
    assert links.check_order_key(settings, order, key)
    for other, wrong in ((purchase.renewal, key), (order, key[:-2]), (order, ""), (order, "é\udcff")):
        assert not links.check_order_key(settings, other, wrong)
        assert not links.was_order_key(settings, other, wrong)


def test_a_key_lasts_until_the_address_is_corrected(world: MailWorld) -> None:
    order, settings = Purchase(world).order, world.shop.settings
    # What stands in mails that were sent before addresses could be corrected: their readers must not be locked out.
    first = "W_HFZN9Yru5q5V4UnayDMU76mhXNJCIRL11VNsipvtA"
    assert links.order_key(settings, order) == first
    keys = [first]
    for corrections in (1, 2):
        order.corrections = corrections
        keys.append(links.order_key(settings, order))
        assert [links.check_order_key(settings, order, key) for key in keys] == [False] * corrections + [True]
        assert [links.was_order_key(settings, order, key) for key in keys] == [True] * corrections + [False]
    assert len(set(keys)) == 3
    db.session.rollback()


def test_mails_are_written_in_the_language_of_the_order_whoever_asks(world: MailWorld) -> None:
    purchase = Purchase(world, "fr")
    with world.app.test_request_context("/zh-hans/"):
        mail = write_message(purchase, "receipt")

    assert '<html lang="fr"' in mail.html_body
    assert "12,90\u00a0€" in mail.text_body
    assert mail.created_at == NOW

"""The mails of the shop, one function each.

Every function puts its mail into the outbox of the current transaction, written at once in its reader's language, and
does nothing when that mail is there already. The templates are in templates/mail/<message>/.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

from flask import current_app
from flask_babel import force_locale

from models import Account, Esim, Order, Refund, TokenPurpose, db
from services import links
from services.account_tokens import LIFETIMES
from services.delivery import InstallInfo, install_info
from services.languages import get_language
from services.mail import facts, outbox
from services.mail.outbox import Draft, Picture
from services.shop import Shop

# Where a message goes: into the outbox, or over an earlier mail of its kind (`redirection.write_again`).
Put = Callable[[Shop, Draft], int | None]

# Why money went back, as refunds name it (Refund.cause); anything else is told without a reason.
REFUND_REASONS = ("surplus", "refused", "late")


class ReminderReason(StrEnum):
    """What a reminder is about."""

    LOW_DATA = "low-data"
    USED_UP = "used-up"
    ENDS_SOON = "ends-soon"
    INSTALL_SOON = "install-soon"


def receipt(shop: Shop, order: Order, put: Put = outbox.put) -> int | None:
    """Say that the payment of an order arrived, what was bought and what happens next; kind `receipt`."""
    esim = db.session().get(Esim, order.esim_id) if order.esim_id is not None else None
    with _speaking(order.language):
        context = {
            "facts": facts.receipt_facts(order, esim),
            "delivered_at_once": any(consent.kind == "immediate_delivery" for consent in order.consents),
        }
        return _to_buyer(shop, order, "receipt", "receipt", context, put)


def esim_ready(shop: Shop, order: Order, esim: Esim, claim_url: str | None, put: Put = outbox.put) -> int | None:
    """Hand over a new eSIM with everything that installs it; kind `esim-ready`.

    `claim_url` is the one-time link of a buyer without a password, None for everybody else.
    """
    install = install_info(esim, order.plan_facts)
    with _speaking(order.language):
        context = {"install": install, "clock_rule": facts.clock_rule(order.plan_facts), "claim_url": claim_url}
        return _to_buyer(shop, order, "esim-ready", "esim_ready", context, put, (_qr_picture(install),))


def renewal_confirmed(
    shop: Shop,
    order: Order,
    esim: Esim,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    put: Put = outbox.put,
) -> int | None:
    """Say that the supplier confirmed a renewal and what it changed; kind `renewal-confirmed`.

    `before` and `after` are readings as `Reading.to_json` writes them.
    """
    with _speaking(order.language):
        context = {
            "esim_name": facts.esim_name(esim),
            "before": facts.reading_facts(before, unlimited=False),
            "after": facts.reading_facts(after, unlimited=order.plan_facts["data_bytes"] is None),
        }
        return _to_buyer(shop, order, "renewal-confirmed", "renewal_confirmed", context, put)


def order_refunded(shop: Shop, order: Order, refund: Refund, reason_code: str, put: Put = outbox.put) -> int | None:
    """Say that money went back and why; kind `refund-<refund id>`. `reason_code` is the cause of the refund."""
    context = {
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "reason": reason_code if reason_code in REFUND_REASONS else "",
    }
    with _speaking(order.language):
        return _to_buyer(shop, order, f"refund-{refund.id}", "order_refunded", context, put)


def order_delayed(shop: Shop, order: Order, put: Put = outbox.put) -> int | None:
    """Say that a paid order takes longer and that a person looks at it; kind `order-delayed`."""
    with _speaking(order.language):
        return _to_buyer(shop, order, "order-delayed", "order_delayed", {}, put)


def payment_failed(shop: Shop, order: Order, attempt_id: int, put: Put = outbox.put) -> int | None:
    """Say that a delayed payment failed and how to pay again; kind `payment-failed-<attempt id>`."""
    with _speaking(order.language):
        return _to_buyer(shop, order, f"payment-failed-{attempt_id}", "payment_failed", {}, put)


def claim(shop: Shop, account: Account, token_id: int, url: str) -> int | None:
    """Send the link with which a buyer chooses a first password; kind `claim-<token id>`."""
    context = {"url": url, "days": LIFETIMES[TokenPurpose.CLAIM].days}
    return _to_account(shop, account, account.email, f"claim-{token_id}", "claim", context)


def password_reset(shop: Shop, account: Account, token_id: int, url: str) -> int | None:
    """Send the link with which a new password is chosen; kind `password-reset-<token id>`."""
    context = {"url": url, "hours": _hours(TokenPurpose.PASSWORD_RESET)}
    return _to_account(shop, account, account.email, f"password-reset-{token_id}", "password_reset", context)


def sign_in_link(shop: Shop, account: Account, token_id: int, url: str) -> int | None:
    """Send the link that opens the account without a password; kind `sign-in-link-<token id>`."""
    context = {"url": url, "hours": _hours(TokenPurpose.SIGN_IN)}
    return _to_account(shop, account, account.email, f"sign-in-link-{token_id}", "sign_in_link", context)


def email_change(shop: Shop, account: Account, token_id: int, new_email: str, url: str) -> int | None:
    """Send the link that confirms a new address to that address, and a notice to the old one.

    Kinds `email-change-<token id>` and `email-notice-<token id>`; returns the id of the first.
    """
    context = {"new_email": new_email, "hours": _hours(TokenPurpose.EMAIL_CHANGE), "url": url}
    notice = {"new_email": new_email, "settings_url": links.account_settings_url(shop, account.language)}
    _to_account(shop, account, account.email, f"email-notice-{token_id}", "email_notice", notice)
    return _to_account(shop, account, new_email, f"email-change-{token_id}", "email_change", context)


def renewal_reminder(
    shop: Shop,
    esim: Esim,
    reason: ReminderReason,
    *,
    package_id: int,
    recipient: str,
    language: str,
    url: str,
    renewable: bool,
) -> Draft:
    """Return the reminder about an eSIM, to be queued with others; kind `reminder-<reason>-<package id>`.

    `url` is where its owner installs it, renews it or finds a new one; `language` is an address code.
    """
    with _speaking(language):
        subject, text, html = _write(
            shop,
            "renewal_reminder",
            language,
            esim=esim,
            esim_name=facts.esim_name(esim),
            facts=facts.usage_facts(esim) if reason is not ReminderReason.INSTALL_SOON else [],
            reason=reason.value,
            renewable=renewable,
            url=url,
        )
    return Draft(
        kind=reminder_kind(reason, package_id),
        subject_key=esim_key(esim.id),
        recipient=recipient,
        language=language,
        subject=subject,
        text=text,
        html=html,
    )


def order_key(order_id: int) -> str:
    """Return the subject key of mails about an order."""
    return f"order:{order_id}"


def esim_key(esim_id: int) -> str:
    """Return the subject key of mails about an eSIM."""
    return f"esim:{esim_id}"


def reminder_kind(reason: ReminderReason, package_id: int) -> str:
    """Return the kind of a reminder: one for each package and reason."""
    return f"reminder-{reason.value}-{package_id}"


def _to_buyer(
    shop: Shop,
    order: Order,
    kind: str,
    template: str,
    context: Mapping[str, Any],
    put: Put,
    pictures: tuple[Picture, ...] = (),
) -> int | None:
    order_url = links.order_url(shop, order)
    subject, text, html = _write(shop, template, order.language, order=order, order_url=order_url, **context)
    draft = Draft(
        kind=kind,
        subject_key=order_key(order.id),
        recipient=order.email,
        language=order.language,
        subject=subject,
        text=text,
        html=html,
        pictures=pictures,
    )
    return put(shop, draft)


def _to_account(
    shop: Shop, account: Account, recipient: str, kind: str, template: str, context: Mapping[str, Any]
) -> int | None:
    with _speaking(account.language):
        subject, text, html = _write(shop, template, account.language, **context)
    return outbox.queue(
        shop,
        kind=kind,
        subject_key=f"account:{account.id}",
        recipient=recipient,
        language=account.language,
        subject=subject,
        text=text,
        html=html,
    )


def _speaking(language: str) -> AbstractContextManager[None]:
    locale: AbstractContextManager[None] = force_locale(get_language(language).locale)
    return locale


def _write(shop: Shop, template: str, language: str, **context: Any) -> tuple[str, str, str]:
    """Return subject, text and HTML of a mail in the language that is in force."""
    # Not flask.render_template: its context processors would look at whoever makes the request.
    environment = current_app.jinja_env
    values = {"language": get_language(language), "home_url": links.shop_home_url(shop, language), **context}
    subject, text, html = (
        environment.get_template(f"mail/{template}/{part}").render(values)
        for part in ("subject.txt", "body.txt", "body.html")
    )
    # A header is one line, whatever a nickname holds.
    return " ".join(subject.split()), text.strip() + "\n", html


def _qr_picture(install: InstallInfo) -> Picture:
    return Picture(id="qr@esim", name="esim-qr.png", base64=b64encode(install.qr_png).decode("ascii"))


def _hours(purpose: TokenPurpose) -> int:
    return int(LIFETIMES[purpose].total_seconds() // 3600)

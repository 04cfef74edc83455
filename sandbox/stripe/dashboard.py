"""The page `/stripe/`: what happened, and buttons for what a merchant or bad luck could do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from sandbox.store import Document
from sandbox.stripe import checkout, money
from sandbox.stripe.account import prefix_of
from sandbox.stripe.errors import ApiError

if TYPE_CHECKING:
    from sandbox.stripe.service import StripeSandbox

_SHOWN = 30
_FAULTS = ("500", "503", "429", "409", "drop_before", "drop_after", "slow", "bad_json")


class Dashboard:
    """The dashboard and its forms."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox = sandbox
        self._actions: dict[str, Callable[[str], object]] = {
            "refund": self._refund,
            "fail_refund": lambda identity: sandbox.settle_refund(identity, "failed"),
            "dispute": sandbox.open_dispute,
            "win": lambda identity: sandbox.close_dispute(identity, "won"),
            "lose": lambda identity: sandbox.close_dispute(identity, "lost"),
            "async_succeed": lambda identity: sandbox.settle_async_payment(identity, succeeded=True),
            "async_fail": lambda identity: sandbox.settle_async_payment(identity, succeeded=False),
            "expire": lambda identity: checkout.expire(sandbox.account, identity),
            "resend": self._resend,
            "hold": lambda identity: sandbox.webhooks.hold(),
            "release": lambda identity: sandbox.webhooks.release(),
            "fault": lambda identity: sandbox.fault(request.form.get("kind", "500")),
            "clear_faults": lambda identity: sandbox.faults.clear(),
        }

    def register(self, blueprint: Blueprint) -> None:
        """Add the page to `blueprint`."""
        blueprint.add_url_rule("/stripe/", "stripe_dashboard", self._page)
        blueprint.add_url_rule("/stripe/", "stripe_action", self._act, methods=["POST"])

    def _page(self, problem: str | None = None) -> str:
        sandbox, account = self._sandbox, self._sandbox.account
        checkout.expire_due(account)
        newest = {kind: list(reversed(account.of(kind).all()))[:_SHOWN] for kind in ("cs", "ch", "re", "dp", "evt")}
        return render_template(
            "sandbox/stripe/dashboard.html",
            sessions=newest["cs"],
            charges=newest["ch"],
            refunds=newest["re"],
            disputes=newest["dp"],
            events=newest["evt"],
            amount=_amount,
            webhooks=sandbox.webhooks,
            waiting=sandbox.faults.waiting()["faults"],
            fault_kinds=_FAULTS,
            problem=problem,
        )

    def _act(self) -> ResponseReturnValue:
        identity = request.form.get("id", "").strip()
        action = self._actions.get(request.form.get("action", ""))
        try:
            if action is not None:
                problem = action(identity)
                if isinstance(problem, str):
                    return self._page(problem), 502
        except ApiError as error:
            return self._page(error.message), error.status
        except ValueError as error:
            return self._page(str(error)), 400
        place = f"#{prefix_of(identity)}" if identity else ""
        return redirect(f"/stripe/{place}", 303)

    def _refund(self, identity: str) -> object:
        amount = request.form.get("amount", "").strip()
        return self._sandbox.refund(identity, int(amount) if amount else None)

    def _resend(self, identity: str) -> object:
        answer = self._sandbox.resend(identity)[0]
        return None if answer.succeeded else f"Not delivered: {answer.status or answer.error}"


def _amount(thing: Document, field: str = "amount") -> str:
    if thing[field] is None:
        return ""
    return money.formatted(thing[field], thing["currency"])

"""The hosted payment page and the 3-D Secure step: what a buyer sees, without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from sandbox.store import Document
from sandbox.stripe import attempts, cards, checkout, money, setup_intents
from sandbox.stripe.account import prefix_of
from sandbox.stripe.checkout import Buyer
from sandbox.stripe.errors import ApiError

if TYPE_CHECKING:
    from sandbox.stripe.service import StripeSandbox

METHOD_LABELS = {
    "card": "Card",
    "paypal": "PayPal",
    "alipay": "Alipay",
    "wechat_pay": "WeChat Pay",
    "link": "Link",
    "sepa_debit": "SEPA Direct Debit (confirmed later)",
}
_OUTCOMES: dict[str, attempts.Outcome] = {"complete": "complete", "fail": "fail", "cancel": "cancel"}


class Hosted:
    """The pages under `/c/`."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox = sandbox
        self._account = sandbox.account

    def register(self, blueprint: Blueprint) -> None:
        """Add the pages to `blueprint`."""
        blueprint.add_url_rule("/c/pay/<identity>", "stripe_pay_page", self._pay_page)
        blueprint.add_url_rule("/c/pay/<identity>", "stripe_pay", self._pay, methods=["POST"])
        blueprint.add_url_rule("/c/authenticate/<identity>", "stripe_step_page", self._step_page)
        blueprint.add_url_rule("/c/authenticate/<identity>", "stripe_step", self._step, methods=["POST"])

    def _pay_page(self, identity: str) -> ResponseReturnValue:
        try:
            session = checkout.retrieve(self._account, identity)
        except ApiError:
            return self._notice("There is no such payment page.", None, 404)
        return self._page(session)

    def _pay(self, identity: str) -> ResponseReturnValue:
        try:
            session = checkout.retrieve(self._account, identity)
        except ApiError:
            return self._notice("There is no such payment page.", None, 404)
        if request.form.get("action") == "back":
            return redirect(session["cancel_url"] or f"/c/pay/{identity}", 303)
        if session["status"] == "expired":
            return self._page(session)
        chosen = request.form.get("card")
        number = chosen or request.form.get("card_number", "").strip()
        method = "card" if chosen else request.form.get("method", "card")
        problem = self._problem(session, method, number)
        if problem and session["status"] == "open":
            return self._page(session, problem)
        buyer = Buyer(email=request.form.get("email", "").strip(), method=method, card=number)
        try:
            session = checkout.pay(self._account, identity, buyer)
        except ApiError as error:
            return self._page(checkout.retrieve(self._account, identity), checkout.message(error))
        return self._after(session)

    def _problem(self, session: Document, method: str, number: str) -> str | None:
        if not request.form.get("email", "").strip():
            return "Enter your e-mail address."
        if method == "card" and not number and session["amount_total"] != 0:
            return "Enter a card number, or choose one of the test cards."
        return None

    def _after(self, session: Document) -> ResponseReturnValue:
        """Send the buyer on: to 3-D Secure, or back to the shop once it had time to hear of the payment."""
        if session["status"] != "complete":
            return redirect(f"/c/authenticate/{session['payment_intent'] or session['setup_intent']}", 303)
        self._sandbox.wait_until_told(session)
        return redirect(checkout.return_address(session), 303)

    def _step_page(self, identity: str) -> ResponseReturnValue:
        try:
            intent = self._account.find(prefix_of(identity), identity)
        except (ApiError, KeyError):
            return self._notice("There is no such payment.", None, 404)
        if intent["status"] != "requires_action":
            return self._settled(intent)
        amount = money.formatted(intent["amount"], intent["currency"]) if "amount" in intent else ""
        return render_template("sandbox/stripe/authenticate.html", amount=amount)

    def _step(self, identity: str) -> ResponseReturnValue:
        outcome = _OUTCOMES.get(request.form.get("outcome", ""), "cancel")
        try:
            intent = self._account.find(prefix_of(identity), identity)
        except (ApiError, KeyError):
            return self._notice("There is no such payment.", None, 404)
        if intent["status"] != "requires_action":
            return self._settled(intent)
        if not intent.get("_session"):
            return self._step_alone(intent, outcome)
        try:
            return self._after(checkout.authenticate(self._account, identity, outcome))
        except ApiError as error:
            session = checkout.retrieve(self._account, intent["_session"])
            return self._page(session, checkout.message(error))

    def _step_alone(self, intent: Document, outcome: attempts.Outcome) -> ResponseReturnValue:
        """Answer 3-D Secure of an intent that belongs to no session, and go to its `return_url`."""
        answer = setup_intents.authenticate if intent["object"] == "setup_intent" else attempts.authenticate
        try:
            with self._account.lock:
                answer(self._account, intent["id"], outcome)
        except ApiError as error:
            if not intent.get("_return_url"):
                return self._notice(checkout.message(error), None, 402)
        address = intent.get("_return_url")
        if not address:
            return self._notice("Done. You may close this page.", None)
        joint = "&" if "?" in address else "?"
        return redirect(f"{address}{joint}{intent['object']}={quote(intent['id'])}", 303)

    def _settled(self, intent: Document) -> ResponseReturnValue:
        if intent.get("_session"):
            return redirect(f"/c/pay/{intent['_session']}", 303)
        return self._notice("There is nothing left to confirm.", intent.get("_return_url"))

    def _page(self, session: Document, problem: str | None = None) -> ResponseReturnValue:
        if session["status"] == "expired":
            return self._notice("This payment page has expired. You have not been charged.", session["cancel_url"], 410)
        if session["status"] == "complete":
            return self._notice("This is already paid.", checkout.return_address(session))
        language = session["locale"] if session["locale"] not in (None, "auto") else "en"
        total = session["amount_total"]
        lines = [
            (line["description"], line["quantity"], money.formatted(line["amount_total"], line["currency"], language))
            for line in session["_line_items"]
        ]
        page = render_template(
            "sandbox/stripe/pay.html",
            session=session,
            language=language,
            total=money.formatted(total, session["currency"], language) if total is not None else None,
            lines=lines,
            problem=problem,
            email=request.form.get("email") or session["customer_email"] or self._customer_email(session),
            method=request.form.get("method") or session["payment_method_types"][0],
            labels=METHOD_LABELS,
            cards=cards.CARDS[:8],
        )
        return page, 402 if problem else 200

    def _customer_email(self, session: Document) -> str:
        customer = self._account.of("cus").get(session["customer"]) if session["customer"] else None
        return str((customer or {}).get("email") or "")

    def _notice(self, message: str, address: str | None, status: int = 200) -> ResponseReturnValue:
        return render_template("sandbox/stripe/notice.html", message=message, address=address), status

"""The control API under `/_control/stripe/`, as the package's docstring describes it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from sandbox.store import Document
from sandbox.stripe.errors import ApiError

if TYPE_CHECKING:
    from sandbox.stripe.service import StripeSandbox

Action = Callable[..., Any]


class Control:
    """One URL per method of the Python handle; a POST's JSON object holds the method's arguments by name."""

    def __init__(self, sandbox: StripeSandbox) -> None:
        self._sandbox = sandbox

    def register(self, blueprint: Blueprint) -> None:
        """Add the control API to `blueprint`."""
        root = "/_control/stripe"
        for path, action in self._posts().items():
            name = f"stripe_control_post_{path.replace('/', '_')}"
            blueprint.add_url_rule(f"{root}/{path}", name, partial(_run, action), methods=["POST"])
        blueprint.add_url_rule(f"{root}/requests", "stripe_control_requests", self._requests)
        blueprint.add_url_rule(f"{root}/summary", "stripe_control_summary", self._summary)
        blueprint.add_url_rule(f"{root}/objects/<kind>", "stripe_control_objects", self._objects)
        blueprint.add_url_rule(f"{root}/charges", "stripe_control_charges", self._charges)
        blueprint.add_url_rule(f"{root}/faults", "stripe_control_faults", lambda: jsonify(self._faults()))
        blueprint.add_url_rule(f"{root}/webhooks", "stripe_control_webhooks", lambda: jsonify(self._webhooks()))

    def _posts(self) -> dict[str, Action]:
        sandbox, webhooks = self._sandbox, self._sandbox.webhooks
        return {
            "reset": sandbox.reset,
            "clock/advance": self._advance,
            "faults": lambda kind, **fields: {"number": sandbox.fault(kind, **fields)},
            "faults/clear": sandbox.faults.clear,
            "chaos": sandbox.chaos,
            "sessions/pay": lambda session, **fields: asdict(sandbox.pay(session, **fields)),
            "sessions/async": lambda session, succeeded=True: sandbox.settle_async_payment(
                session, succeeded=succeeded
            ),
            "refunds/create": sandbox.refund,
            "refunds/settle": lambda refund, **fields: sandbox.settle_refund(refund, **fields),
            "refunds/outcome": self._refund_outcome,
            "disputes/open": sandbox.open_dispute,
            "disputes/close": lambda dispute, outcome="lost": sandbox.close_dispute(dispute, outcome),
            "webhooks": self._configure,
            "webhooks/hold": webhooks.hold,
            "webhooks/release": lambda **fields: {"released": webhooks.release(**fields)},
            "webhooks/drop": webhooks.drop_next,
            "webhooks/chaos": webhooks.chaos,
            "webhooks/resend": self._resend,
            "webhooks/twin": lambda event: {"event": sandbox.twin(event)},
            "webhooks/emit": self._emit,
            "webhooks/forge": self._forge,
            "webhooks/wait": lambda seconds=10: {"idle": sandbox.wait_for_webhooks(seconds)},
        }

    def _advance(self, seconds: float) -> Document:
        self._sandbox.advance(timedelta(seconds=seconds))
        return {"skipped_seconds": self._sandbox.account.skipped()}

    def _refund_outcome(self, status: str) -> None:
        if status not in ("succeeded", "pending", "requires_action"):
            raise ValueError("status must be succeeded, pending or requires_action")
        self._sandbox.account.refund_status = status

    def _configure(self, **fields: Any) -> Document:
        for name in fields:
            if name not in ("url", "secrets", "retry_delays", "copies", "timeout"):
                raise ValueError(f"unknown setting: {name}")
        for name, value in fields.items():
            setattr(self._sandbox.webhooks, name, value)
        return self._webhooks()

    def _resend(self, event: str, times: int = 1, parallel: bool = False) -> Document:
        answers = self._sandbox.resend(event, times=times, parallel=parallel)
        return {"deliveries": [asdict(answer) for answer in answers]}

    def _emit(self, type: str, object: Document) -> Document:  # noqa: A002  # the names that Stripe's events use
        return {"event": self._sandbox.emit(type, object)}

    def _forge(self, payload: str = "", payload_base64: str = "", **fields: Any) -> Document:
        data = base64.b64decode(payload_base64) if payload_base64 else payload.encode()
        return asdict(self._sandbox.forge(data, **fields))

    def _webhooks(self) -> Document:
        webhooks = self._sandbox.webhooks
        return {
            "url": webhooks.url,
            "holding": webhooks.holding,
            "copies": webhooks.copies,
            "retry_delays": list(webhooks.retry_delays),
            "events": webhooks.deliveries(),
        }

    def _faults(self) -> Document:
        return {**self._sandbox.faults.waiting(), "met": self._sandbox.faults.met()}

    def _requests(self) -> ResponseReturnValue:
        found = self._sandbox.requests(request.args.get("method", ""), request.args.get("path", ""))
        return jsonify({"requests": found})

    def _summary(self) -> ResponseReturnValue:
        return jsonify(self._sandbox.summary(request.args.get("key", "order")))

    def _objects(self, kind: str) -> ResponseReturnValue:
        try:
            return jsonify({"objects": self._sandbox.objects(kind)})
        except KeyError:
            return jsonify({"error": f"no such kind: {kind}"}), 404

    def _charges(self) -> ResponseReturnValue:
        value, key = request.args.get("value", ""), request.args.get("key", "order")
        return jsonify({"charges": self._sandbox.charges_for(value, key)})


def _run(action: Action) -> ResponseReturnValue:
    given = request.get_json(silent=True) if request.data else {}
    if not isinstance(given, dict):
        return jsonify({"error": "the body must be a JSON object"}), 400
    try:
        answer = action(**given)
    except ApiError as error:
        return jsonify({"error": error.message, "code": error.fields.get("code")}), error.status
    except (TypeError, ValueError) as error:
        return jsonify({"error": str(error)}), 400
    return jsonify({} if answer is None else answer)

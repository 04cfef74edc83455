"""The controls over HTTP: the methods of the handle, called with the JSON that was posted."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from sandbox.esim_access.errors import ApiError
from sandbox.esim_access.esim import Esim
from sandbox.esim_access.journal import entry_json

if TYPE_CHECKING:
    from sandbox.esim_access.control import EsimAccessSandbox

CONTROL_PATH = "/_control/esim-access"


def register_controls(blueprint: Blueprint, sandbox: EsimAccessSandbox) -> None:
    """Add the control API to `blueprint`.

    A control answers 200 with JSON, 400 for a wrong parameter, 409 when the eSIM's state does not allow it.
    """
    reads: dict[str, Callable[[], object]] = {
        "state": sandbox.summary,
        "log": lambda: [entry_json(entry) for entry in sandbox.log()],
        "counters": sandbox.counters,
        "webhooks": sandbox.webhooks.sent,
        "faults": sandbox.faults.listed,
    }
    actions = _actions(sandbox)

    def read(name: str) -> ResponseReturnValue:
        if name not in reads:
            return _problem(404, f"no control {name}")
        return jsonify(reads[name]())

    def act(name: str) -> ResponseReturnValue:
        if name not in actions:
            return _problem(404, f"no control {name}")
        return _call(actions[name], request.get_json(silent=True) or {})

    def clear_faults() -> ResponseReturnValue:
        sandbox.faults.clear()
        return jsonify({"ok": True})

    blueprint.add_url_rule(f"{CONTROL_PATH}/faults", "clear_faults", clear_faults, methods=["DELETE"])
    blueprint.add_url_rule(f"{CONTROL_PATH}/<path:name>", "read_control", read, methods=["GET"])
    blueprint.add_url_rule(f"{CONTROL_PATH}/<path:name>", "control", act, methods=["POST"])


def _actions(sandbox: EsimAccessSandbox) -> dict[str, Callable[..., object]]:
    webhooks = sandbox.webhooks
    return {
        "install": sandbox.install,
        "connect": sandbox.connect,
        "burn": sandbox.burn,
        "delete-from-phone": sandbox.delete_from_phone,
        "advance": sandbox.advance,
        "non-rechargeable": sandbox.make_non_rechargeable,
        "reuse-iccid": sandbox.reuse_iccid,
        "allocation": sandbox.set_allocation,
        "allocate": sandbox.allocate,
        "balance": sandbox.set_balance,
        "stock": sandbox.set_stock,
        "price": sandbox.set_price,
        "variants": sandbox.set_variants,
        "refresh-usage": sandbox.refresh_usage,
        "faults": sandbox.fault,
        "reset": sandbox.reset,
        "webhook-url": webhooks.set_url,
        "webhooks/hold": webhooks.hold,
        "webhooks/release": webhooks.release,
        "webhooks/drop": webhooks.drop,
        "webhooks/duplicate": webhooks.duplicate,
        "webhooks/chaos": webhooks.chaos,
        "webhooks/unknown-order": sandbox.send_unknown_order_webhook,
        "webhooks/send": webhooks.send,
    }


def _call(action: Callable[..., object], body: Any) -> ResponseReturnValue:
    if not isinstance(body, dict):
        return _problem(400, "the body must be a JSON object")
    arguments = {_snake_case(name): value for name, value in body.items()}
    try:
        inspect.signature(action).bind(**arguments)
    except TypeError as error:
        return _problem(400, str(error))
    try:
        result = action(**arguments)
    except ApiError as error:
        return _problem(409, str(error))
    except (TypeError, ValueError) as error:
        return _problem(400, str(error))
    return jsonify(_esim_json(result) if isinstance(result, Esim) else {"ok": True})


def _snake_case(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


def _esim_json(esim: Esim) -> dict[str, object]:
    return {
        "esimTranNo": esim.esim_tran_no,
        "esimStatus": esim.esim_status,
        "smdpStatus": esim.smdp_status,
        "orderUsage": esim.usage,
        "totalVolume": esim.total_volume,
    }


def _problem(status: int, message: str) -> Response:
    answer = jsonify({"error": message})
    answer.status_code = status
    return answer

"""The HTTP side of the API: authentication, idempotency, faults, the request log, and answers in Stripe's shape."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Request, Response, request

from sandbox.store import Document
from sandbox.stripe import contract, forms, listing, routes
from sandbox.stripe.account import API_VERSION, Account, current_request
from sandbox.stripe.errors import ApiError
from sandbox.stripe.faults import Fault, Faults
from sandbox.stripe.idempotency import Idempotency, Saved

_LOG_LENGTH = 20_000
_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]


@dataclass
class Exchange:
    """One request and what became of it, as the log remembers it; never its parameters."""

    id: str
    at: int
    method: str
    path: str
    idempotency_key: str | None
    stripe_version: str | None
    status: int | None = None
    outcome: str = "refused"  # executed, replayed, refused
    fault: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def entry(self) -> Document:
        """Return what the log shows of it."""
        return {key: value for key, value in vars(self).items() if key != "headers"}


class Api:
    """Stripe's API under `/v1/`."""

    def __init__(self, account: Account, faults: Faults, stopping: threading.Event) -> None:
        self._account = account
        self._faults = faults
        self._stopping = stopping
        self._idempotency = Idempotency(account)
        self.log: deque[Document] = deque(maxlen=_LOG_LENGTH)

    def register(self, blueprint: Blueprint) -> None:
        """Add the API to `blueprint`."""
        blueprint.add_url_rule("/v1/<path:path>", "stripe_api", self._view, methods=_METHODS)

    def _view(self, path: str) -> Response:
        exchange = Exchange(
            id=self._account.new_id("req"),
            at=self._account.now(),
            method=request.method,
            path=request.path,
            idempotency_key=request.headers.get("Idempotency-Key") or None,
            stripe_version=request.headers.get("Stripe-Version"),
        )
        fault = self._faults.next_for(request.method, request.path)
        try:
            if fault is None:
                return self._answer(exchange, *self._execute(exchange))
            exchange.fault = fault.name
            return self._with_fault(exchange, fault)
        finally:
            self.log.append(exchange.entry())

    def _with_fault(self, exchange: Exchange, fault: Fault) -> Response:
        if fault.should_retry is not None:
            exchange.headers["Stripe-Should-Retry"] = "true" if fault.should_retry else "false"
        if fault.kind == "slow" and not fault.executes:
            return self._answer(exchange, *self._execute(exchange, fault.seconds))
        answer = self._execute(exchange) if fault.executes else None
        if fault.kind == "slow" and answer is not None:
            self._stopping.wait(fault.seconds)
            return self._answer(exchange, *answer)
        if fault.kind == "status":
            return self._answer_status(exchange, fault)
        if fault.kind == "bad_json":
            return self._answer(exchange, 200, "<html><body>upstream error</body></html>")
        return self._drop(exchange)

    def _answer_status(self, exchange: Exchange, fault: Fault) -> Response:
        body = json.dumps({"error": _FAULT_ERRORS.get(fault.status, _SERVER_ERROR)})
        key = exchange.idempotency_key
        if key and (fault.saved or fault.executes):
            saved = Saved(fault.status, body, exchange.id)
            self._idempotency.save(key, request.method, request.path, _raw(request), saved)
        return self._answer(exchange, fault.status, body)

    def _drop(self, exchange: Exchange) -> Response:
        """Close the connection; the answer that is returned then finds nobody to go to."""
        connection = request.environ.get("werkzeug.socket")
        if isinstance(connection, socket.socket):
            connection.shutdown(socket.SHUT_RDWR)
        response = Response("")
        response.headers["Connection"] = "close"
        exchange.status = None
        return response

    def _execute(self, exchange: Exchange, delay: float = 0) -> tuple[int, str]:
        """Return status and body, from the idempotency key's first request when there was one.

        With a `delay` in seconds the request is in progress, and its key in use, for so long before it has an effect.
        """
        key = exchange.idempotency_key if request.method == "POST" else None
        try:
            self._authenticate(request)
            if key is None:
                self._stopping.wait(delay)
                return self._call(exchange)[:2]
            saved = self._idempotency.begin(key, request.method, request.path, _raw(request))
        except ApiError as error:
            return error.status, json.dumps(error.body())
        if saved is not None:
            exchange.outcome = "replayed"
            exchange.headers.update({"Idempotent-Replayed": "true", "Original-Request": saved.request_id})
            return saved.status, saved.body
        try:
            self._stopping.wait(delay)
            status, body, keep = self._call(exchange)
            if keep:
                self._idempotency.save(
                    key, request.method, request.path, _raw(request), Saved(status, body, exchange.id)
                )
            return status, body
        finally:
            self._idempotency.end(key)

    def _call(self, exchange: Exchange) -> tuple[int, str, bool]:
        """Return status, body, and whether they are kept for the idempotency key."""
        token = current_request.set({"id": exchange.id, "idempotency_key": exchange.idempotency_key})
        try:
            with self._account.lock:
                answer = self._handle()
            exchange.outcome = "executed"
            return 200, json.dumps(answer, indent=2), True
        except ApiError as error:
            exchange.outcome = "executed" if error.saved else "refused"
            return error.status, json.dumps(error.body(), indent=2), error.saved
        finally:
            current_request.reset(token)

    def _handle(self) -> Document:
        found = routes.find(request.method, request.path)
        if found is None:
            raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        route, identity = found
        given = request.form if request.method == "POST" else request.args
        parameters = forms.nested(given.items(multi=True))
        contract.check(route.definition, parameters)
        answer = route.handler(self._account, parameters, identity)
        if answer["object"] == "list":
            answer["data"] = [self._account.shown(thing) for thing in answer["data"]]
        else:
            answer = self._account.shown(answer)
        return listing.expand(self._account, answer, parameters)

    def _authenticate(self, given: Request) -> None:
        key = _secret_key(given.headers.get("Authorization", ""))
        if not key:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        if not hmac.compare_digest(key.encode(), self._account.settings.stripe_secret_key.encode()):
            raise ApiError(401, f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:]}")

    def _answer(self, exchange: Exchange, status: int, body: str) -> Response:
        exchange.status = status
        response = Response(body, status=status, content_type="application/json")
        response.headers.update(exchange.headers)
        response.headers["Request-Id"] = exchange.id
        response.headers["Stripe-Version"] = exchange.stripe_version or API_VERSION
        if exchange.idempotency_key:
            response.headers["Idempotency-Key"] = exchange.idempotency_key
        return response


_SERVER_ERROR: dict[str, Any] = {
    "type": "api_error",
    "message": "Sorry, there was a problem processing your request. Please try again later.",
}
_FAULT_ERRORS: dict[int, dict[str, Any]] = {
    409: {
        "type": "invalid_request_error",
        "code": "lock_timeout",
        "message": "This object cannot be accessed right now because another API request is accessing it.",
    },
    429: {
        "type": "invalid_request_error",
        "code": "rate_limit",
        "message": "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
    },
}


def _raw(given: Request) -> bytes:
    """Return what is compared between two requests with one idempotency key, whatever their order of parameters."""
    return json.dumps(sorted(given.form.items(multi=True))).encode()


def _secret_key(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""

"""The API's front door: credentials, faults, the envelope, the request log."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, request

from sandbox.esim_access import signing
from sandbox.esim_access.api import Answer, Api
from sandbox.esim_access.errors import ApiError, NoAnswerError
from sandbox.esim_access.faults import Fault, Faults
from sandbox.esim_access.journal import Entry
from sandbox.esim_access.world import World
from sandbox.store import Document

BASE_PATH = "/api/v1/open"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Gateway:
    """Answers HTTP requests to the API; errors of the API come with HTTP 200, as the real ones do."""

    def __init__(self, world: World, api: Api, faults: Faults, access_code: str, secret_key: str) -> None:
        self._world = world
        self._api = api
        self._faults = faults
        self._access_code = access_code
        self._secret_key = secret_key
        self._arrivals: deque[float] = deque()
        self._arrivals_lock = threading.Lock()
        self.stopping = threading.Event()

    def register(self, blueprint: Blueprint) -> None:
        """Add the API's routes to `blueprint`."""
        blueprint.add_url_rule(f"{BASE_PATH}/<path:name>", "api", self.answer, methods=_METHODS)

    def answer(self, name: str) -> Response:
        """Answer one request to the endpoint `name`, as the faults that are on allow."""
        path = f"/{name}"
        raw = request.get_data()
        entry = Entry(method=request.method, path=path)
        fault = self._faults.take(path)
        if fault is None and self._too_fast():
            fault = Fault(path=path, kind="429")
        try:
            response = self._spoiled(fault, path, raw, entry) if fault else self._carried_out(path, raw, entry)
        finally:
            if fault is not None:
                entry.outcome, entry.fault = "faulted", fault.kind
            self._world.journal.add(entry)
        # Last of all: a client that sees the connection end finds its request in the log.
        return _hang_up() if response is None else response

    def _spoiled(self, fault: Fault, path: str, raw: bytes, entry: Entry) -> Response | None:
        """Return the answer as the fault leaves it, None for a connection that ends without one."""
        if not fault.executes:
            self._read(raw, entry)
        answer = self._carried_out(path, raw, entry) if fault.executes else Response(status=500)
        if fault.seconds:
            self.stopping.wait(fault.seconds)
        if fault.kind.startswith("timeout"):
            return None
        if fault.kind.startswith("500"):
            return Response("Internal Server Error", status=500, mimetype="text/plain")
        if fault.kind == "429":
            return Response("Too Many Requests", status=429, mimetype="text/plain", headers={"Retry-After": "1"})
        if fault.kind.startswith("bad_json"):
            return Response('{"success":true,"errorCo', mimetype="application/json")
        if fault.kind.startswith("error:"):
            return self._refusal(ApiError(fault.kind.removeprefix("error:"), "Refused on demand"), entry)
        return answer

    def _carried_out(self, path: str, raw: bytes, entry: Entry) -> Response | None:
        try:
            answer = self._outcome(path, raw, entry)
        except ApiError as error:
            return self._refusal(error, entry)
        except NoAnswerError:
            entry.outcome, entry.executed, entry.fault = "faulted", True, "timeout_after_commit"
            return None
        entry.executed = answer.executed
        entry.outcome = "replayed" if answer.replayed else "executed"
        return self._envelope(True, self._world.variants.ok_code, None, answer.obj)

    def _outcome(self, path: str, raw: bytes, entry: Entry) -> Answer:
        if request.method != "POST":
            raise ApiError("000103", "Only POST is supported")
        now = int(time.time() * 1000)
        signing.check(request.headers, raw, self._access_code, self._secret_key, now)
        body = self._read(raw, entry)
        if body is None:
            raise ApiError("000104", "The request body is not a JSON object")
        endpoint = self._api.endpoints.get(path)
        if endpoint is None:
            raise ApiError("400001", f"There is no endpoint {path}")
        return endpoint(body)

    def _read(self, raw: bytes, entry: Entry) -> Document | None:
        try:
            body: Any = json.loads(raw)
        except ValueError:
            return None
        if not isinstance(body, dict):
            return None
        if isinstance(body.get("transactionId"), str):
            entry.transaction_id = body["transactionId"]
        return body

    def _refusal(self, error: ApiError, entry: Entry) -> Response:
        entry.outcome, entry.error_code = "refused", error.code
        return self._envelope(False, error.code, error.message, None)

    def _envelope(self, success: bool, code: str | None, message: str | None, obj: object) -> Response:
        variants = self._world.variants
        envelope = {
            "success": str(success).lower() if variants.success_as_text else success,
            "errorCode": code,
            variants.error_message_key: message,
            "obj": obj,
        }
        return Response(json.dumps(envelope), mimetype="application/json")

    def _too_fast(self) -> bool:
        limit = self._world.variants.rate_limit
        if not limit:
            return False
        now = time.monotonic()
        with self._arrivals_lock:
            while self._arrivals and self._arrivals[0] <= now - 1:
                self._arrivals.popleft()
            if len(self._arrivals) >= limit:
                return True
            self._arrivals.append(now)
            return False


def _hang_up() -> Response:
    """Close the connection under the answer, so that the client never reads one."""
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500)

"""What an operation of the stand-in can answer instead of a result."""

from __future__ import annotations


class ApiError(ValueError):
    """A refusal that the API answers with HTTP 200, `success` false and `code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class NoAnswerError(Exception):
    """The request was carried out, but the connection must close without an answer."""


def not_allowed(reason: str) -> ApiError:
    """Return the refusal for an operation that the eSIM's state does not allow."""
    return ApiError("200002", reason)

"""The ways in which the real API was seen, or is feared, to differ from its documentation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sandbox.store import Collection


@dataclass(frozen=True, kw_only=True)
class Variants:
    """Switches of the stand-in; the defaults are what integrators report of the real API.

    The package's documentation says what each one does.
    """

    success_as_text: bool = False
    error_message_key: str = "errorMsg"
    ok_code: str | None = "0"
    time_format: str = "offset"
    duplicate_order: str = "replay"
    topup_idempotent: bool = False
    usage_shape: str = "object"
    stale_usage: bool = False
    rate_limit: int = 0
    list_hidden: bool = False
    bare_webhooks: bool = False
    early_webhooks: bool = False


_CHOICES: dict[str, tuple[Any, ...]] = {
    "error_message_key": ("errorMsg", "errorMessage"),
    "ok_code": ("0", None),
    "time_format": ("offset", "z"),
    "duplicate_order": ("replay", "310402"),
    "usage_shape": ("object", "list"),
}


def load(collection: Collection) -> Variants:
    """Return the switches kept in `collection`."""
    return Variants(**(collection.get("variants") or {}))


def change(collection: Collection, **changes: Any) -> Variants:
    """Keep and return the switches after `changes`; raises ValueError for an unknown name or value."""
    known = {field.name: field for field in fields(Variants)}
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"unknown variant {name}")
        allowed = _CHOICES.get(name)
        kind = int if name == "rate_limit" else bool
        if value not in allowed if allowed else type(value) is not kind:
            raise ValueError(f"{value!r} is no value for {name}")
    changed = replace(load(collection), **changes)
    collection.put("variants", asdict(changed))
    return changed

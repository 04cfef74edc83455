"""Pages of objects, newest first, and `expand` (docs.stripe.com/api/pagination, /api/expanding_objects)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.store import Document
from sandbox.stripe.account import KINDS, Account, prefix_of
from sandbox.stripe.errors import invalid, missing
from sandbox.stripe.forms import Parameters, integer, items, text

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


def page(account: Account, things: list[Document], parameters: Parameters, url: str) -> Document:
    """Return one page of `things` (given oldest first); raises ApiError 400 for a limit or cursor that is wrong."""
    things = [thing for thing in reversed(things) if _created_matches(account, thing, parameters)]
    limit = integer(parameters, "limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= 100:
        raise invalid("This value must be between 1 and 100 (inclusive).", "limit", "parameter_invalid_integer")
    after, before = text(parameters, "starting_after"), text(parameters, "ending_before")
    if after and before:
        raise invalid("You cannot parameterize both ending_before and starting_after.", "ending_before")
    if before:
        newer = things[: _position(account, things, before, "ending_before")]
        chosen, more = newer[-limit:], len(newer) > limit
    else:
        older = things[_position(account, things, after, "starting_after") + 1 :] if after else things
        chosen, more = older[:limit], len(older) > limit
    return {"object": "list", "data": chosen, "has_more": more, "url": url}


def _position(account: Account, things: list[Document], identity: str, param: str) -> int:
    for index, thing in enumerate(things):
        if thing["id"] == identity:
            return index
    prefix = prefix_of(identity)
    known = account.of(prefix).get(identity) if prefix in KINDS else None
    if known is None:
        raise missing(KINDS[prefix][1] if prefix in KINDS else "object", identity, param)
    # The cursor exists and is filtered out, so its place is where its creation would put it.
    return sum(1 for thing in things if thing["created"] > known["created"]) - (param == "starting_after")


def _created_matches(account: Account, thing: Document, parameters: Parameters) -> bool:
    wanted = parameters.get("created")
    if wanted is None or wanted == "":
        return True
    shown = thing["created"] - account.skipped()
    if isinstance(wanted, dict):
        return all(
            _COMPARISONS[name](shown, integer(wanted, name, label=f"created[{name}]") or 0)
            for name in wanted
            if name in _COMPARISONS
        )
    return bool(shown == integer(parameters, "created"))


def expand(account: Account, answer: Document, parameters: Parameters) -> Document:
    """Return the answer with the objects that `expand` asks for in place of their identities.

    Raises ApiError 400 for a path that names nothing expandable.
    """
    for path in items(parameters, "expand"):
        parts = str(path).split(".")
        if answer.get("object") == "list":
            if parts[0] != "data":
                raise _not_expandable(path)
            for thing in answer["data"]:
                _expand(account, thing, parts[1:], path)
        else:
            _expand(account, answer, parts, path)
    return answer


def _expand(account: Account, thing: Document, parts: list[str], path: str) -> None:
    if not parts:
        return
    name, rest = parts[0], parts[1:]
    if name == "line_items" and thing["object"] == "checkout.session":
        answer = line_items(account, thing["id"], {})
        thing[name] = {**answer, "data": [account.shown(item) for item in answer["data"]]}
    elif name == "refunds" and thing["object"] == "charge":
        refunds = [refund for refund in account.of("re") if refund["charge"] == thing["id"]]
        thing[name] = page(
            account, [account.shown(refund) for refund in refunds], {}, f"/v1/charges/{thing['id']}/refunds"
        )
    elif isinstance(thing.get(name), str) and prefix_of(thing[name]) in KINDS:
        thing[name] = account.shown(account.find(prefix_of(thing[name]), thing[name]))
    elif name not in thing or not (thing[name] is None or isinstance(thing[name], dict)):
        raise _not_expandable(path)
    if isinstance(thing[name], dict):
        _expand(account, thing[name], rest, path)


def line_items(account: Account, session_id: str, parameters: Parameters) -> Document:
    """Return the session's line items as a page, in the order in which they were given."""
    session = account.find("cs", session_id, "session")
    things: list[Any] = list(reversed(session["_line_items"]))
    return page(account, things, parameters, f"/v1/checkout/sessions/{session_id}/line_items")


def _not_expandable(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", "expand")

"""Reading Stripe's bracketed form parameters: `line_items[0][price_data][currency]=eur`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.stripe.errors import invalid

Parameters = dict[str, Any]

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def nested(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Return the parameters as dictionaries, lists and strings; raises ApiError 400 for a malformed name."""
    root: Parameters = {}
    for name, value in pairs:
        match = _NAME.match(name)
        if match is None:
            raise invalid(f"Invalid parameter name: {name}")
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        _put(root, path, value, name)
    return {key: _with_lists(value) for key, value in root.items()}


def _put(root: Parameters, path: list[str], value: str, name: str) -> None:
    node = root
    for part in path[:-1]:
        node = node.setdefault(part or str(len(node)), {})
        if not isinstance(node, dict):
            raise invalid(f"Invalid parameter: {name}", name)
    node[path[-1] or str(len(node))] = value


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(item) for key, item in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def text(parameters: Parameters, name: str, *, required: bool = False) -> str | None:
    """Return a string parameter, None when absent or empty; raises ApiError 400 when it is missing or a structure."""
    value = parameters.get(name)
    if value is None or value == "":
        if required:
            raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
        return None
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {name}", name)
    return value


def integer(parameters: Parameters, name: str, *, required: bool = False, label: str | None = None) -> int | None:
    """Return a whole-number parameter, None when absent; raises ApiError 400 when it is not a whole number."""
    value = text(parameters, name, required=required)
    if value is None:
        return None
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise invalid(f"Invalid integer: {value}", label or name, "parameter_invalid_integer")
    return int(value)


def boolean(parameters: Parameters, name: str) -> bool | None:
    """Return a boolean parameter, None when absent; raises ApiError 400 for anything but true and false."""
    value = text(parameters, name)
    if value is None:
        return None
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", name)
    return value == "true"


def section(parameters: Parameters, name: str) -> Parameters:
    """Return a nested parameter as a dictionary, empty when absent; raises ApiError 400 when it is something else."""
    value = parameters.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", name)
    return value


def items(parameters: Parameters, name: str) -> list[Any]:
    """Return a list parameter, empty when absent; raises ApiError 400 when it is something else."""
    value = parameters.get(name)
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise invalid("Invalid array", name)
    return value


def metadata(parameters: Parameters, name: str = "metadata") -> dict[str, str]:
    """Return a metadata parameter: at most 50 keys of 40 characters, values of 500 (docs.stripe.com/api/metadata)."""
    values = section(parameters, name)
    if len(values) > 50:
        raise invalid("Metadata can have at most 50 keys.", name)
    for key, value in values.items():
        if not isinstance(value, str):
            raise invalid("Metadata values must be strings.", f"{name}[{key}]")
        if len(key) > 40:
            raise invalid("Metadata keys can be at most 40 characters long.", f"{name}[{key}]")
        if len(value) > 500:
            raise invalid("Metadata values can have up to 500 characters.", f"{name}[{key}]")
    return dict(values)

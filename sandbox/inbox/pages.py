"""The mailbox in a browser, and its controls over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from sandbox.inbox.message import Message

if TYPE_CHECKING:
    from sandbox.inbox.mailbox import Inbox

_ROOT = str(Path(__file__).parent.parent)
_HTML_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-top-navigation-by-user-activation"
)
_SHOWN_HEADERS = frozenset({"from", "to", "cc", "reply-to", "date", "message-id", "content-language", "auto-submitted"})
_IMAGES_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def blueprint(inbox: Inbox) -> Blueprint:
    """Return the pages and controls of `inbox`."""
    pages = Blueprint("inbox", __name__, root_path=_ROOT, template_folder="templates")
    _register_pages(pages, inbox)
    _register_parts(pages, inbox)
    _register_controls(pages, inbox)
    return pages


def _found(inbox: Inbox, identifier: str) -> Message:
    message = inbox.message(identifier)
    if message is None:
        abort(404)
    return message


def _register_pages(pages: Blueprint, inbox: Inbox) -> None:
    @pages.get("/inbox/")
    def index() -> str:
        to = request.args.get("to", "").strip()
        summaries = list(reversed(inbox.summaries(to or None)))
        for summary in summaries:
            summary["time"] = _time(summary["received_at"])
        return render_template("sandbox/inbox/index.html", summaries=summaries, to=to)

    @pages.get("/inbox/<identifier>")
    def message(identifier: str) -> str:
        found = _found(inbox, identifier)
        headers = [header for header in found.headers if header[0].lower() in _SHOWN_HEADERS]
        attached = [
            each for each in found.attachments if not each.content_id or f"cid:{each.content_id}" not in found.html
        ]
        return render_template(
            "sandbox/inbox/message.html",
            message=found,
            headers=headers,
            attached=attached,
            time=_time(found.received_at),
        )


def _register_parts(pages: Blueprint, inbox: Inbox) -> None:
    @pages.get("/inbox/<identifier>/html")
    def html(identifier: str) -> Response:
        found = _found(inbox, identifier)
        response = Response(_showable(found), mimetype="text/html")
        response.headers["Content-Security-Policy"] = _HTML_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @pages.get("/inbox/<identifier>/part/<int:number>")
    def part(identifier: str, number: int) -> Response:
        parts = [each for each in _found(inbox, identifier).attachments if each.number == number]
        if not parts:
            abort(404)
        response = Response(parts[0].content, content_type=parts[0].content_type)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if parts[0].content_type not in _IMAGES_SHOWN:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", parts[0].filename) or f"part-{number}"
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    @pages.get("/inbox/<identifier>/source")
    def source(identifier: str) -> Response:
        response = Response(_found(inbox, identifier).raw, content_type="text/plain; charset=utf-8")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _register_controls(pages: Blueprint, inbox: Inbox) -> None:
    @pages.get("/_control/inbox/messages")
    def messages() -> ResponseReturnValue:
        found = inbox.messages(request.args.get("to"), request.args.get("subject"))
        return jsonify([message.to_json() for message in found])

    @pages.delete("/_control/inbox/messages")
    def clear() -> ResponseReturnValue:
        inbox.clear()
        return jsonify({"ok": True})

    @pages.post("/_control/inbox/<name>")
    def control(name: str) -> ResponseReturnValue:
        server = inbox.server
        actions: dict[str, Callable[..., None]] = {
            "clear": inbox.clear,
            "refuse": server.refuse,
            "drop": server.drop,
            "chaos": server.chaos,
            "behave": server.behave,
            "down": server.down,
            "up": server.up,
        }
        if name not in actions:
            return jsonify({"error": f"no control {name}"}), 404
        try:
            actions[name](**(request.get_json(silent=True) or {}))
        except (TypeError, ValueError) as error:
            return jsonify({"error": str(error)}), 400
        return jsonify({"ok": True})


def _showable(message: Message) -> str:
    html = message.html
    for each in message.attachments:
        if each.content_id:
            address = url_for("inbox.part", identifier=message.id, number=each.number)
            html = html.replace(f"cid:{each.content_id}", address)
    # Links have to leave the frame, which has no scripts and no origin.
    base = '<base target="_top">'
    changed, count = re.subn(r"(<head\b[^>]*>)", lambda match: match[1] + base, html, count=1, flags=re.IGNORECASE)
    return changed if count else base + html


def _time(received_at: str) -> str:
    moment = datetime.fromisoformat(received_at)
    return f"{moment.day} {moment:%b %Y, %H:%M} UTC"

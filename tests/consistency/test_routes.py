"""What holds for every address of the shop."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.routing import Rule

from blueprints.health import PUBLIC_ENDPOINTS
from services.languages import LANGUAGES
from tests.factories import Factories
from tests.page_client import PageClient
from tests.running import count_statements

# Values that no address knows; a POST without a token must fail before anything is looked up.
VALUES = {"lang": "en", "slug": "x", "public_id": "x", "token": "x", "supplier": "x", "finding_id": "1"}
VALUES |= {"page": "x", "language": "en"}


def addresses(app: Flask, method: str) -> list[tuple[Rule, str]]:
    """Return every rule that takes a method, with an address that matches it."""
    with app.test_request_context():
        adapter = app.url_map.bind("")
        return [
            (rule, adapter.build(rule.endpoint, {name: VALUES[name] for name in rule.arguments}))
            for rule in app.url_map.iter_rules()
            if method in (rule.methods or ())
        ]


def test_no_form_is_taken_without_its_token(app: Flask) -> None:
    """Every POST answers 400; webhooks are signed instead."""
    client = app.test_client()
    taken = {
        path: status
        for rule, path in addresses(app, "POST")
        if not rule.endpoint.startswith("webhooks.")
        and (status := client.post(path, data={"email": "a@example.com"}).status_code) != 400
    }
    assert taken == {}


def test_unsafe_methods_are_forms_only(app: Flask) -> None:
    """Pages work without JavaScript, and a form knows GET and POST."""
    known = {"GET", "HEAD", "OPTIONS", "POST"}
    assert {rule.rule for rule in app.url_map.iter_rules() if (rule.methods or set()) - known} == set()


def test_a_wrong_method_is_an_answer_not_an_error(app: Flask) -> None:
    """POST where only GET is known, and the other way round, is 405."""
    client = app.test_client()
    for rule, path in addresses(app, "POST"):
        if "GET" not in (rule.methods or ()):
            same_path = [other for other, address in addresses(app, "GET") if address == path]
            if not same_path:
                assert client.get(path).status_code == 405, path


def test_an_invented_id_is_not_found_or_asks_to_sign_in(app: Flask, client: PageClient) -> None:
    """No address answers 500, or shows a page as if it were there; a link that may have ended is 410."""
    for rule, path in addresses(app, "GET"):
        if rule.arguments - {"lang"}:
            status = app.test_client().get(path).status_code
            assert status in (303, 404, 410), f"{path} answered {status}"


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("endpoint", PUBLIC_ENDPOINTS)
def test_public_pages_answer_in_every_language(app: Flask, client: PageClient, endpoint: str, code: str) -> None:
    """Each passes the page rules, sets no cookie, and may be cached by everybody."""
    with app.test_request_context():
        path = app.url_map.bind("").build(endpoint, {"lang": code})
    page = client.get(path)
    assert "Set-Cookie" not in page.response.headers
    assert "public" in page.response.headers["Cache-Control"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_visitors_pages_answer_in_every_language(client: PageClient, factories: Factories, code: str) -> None:
    """Signed in, the account's pages pass the page rules, too."""
    account = factories.make_account(language=code)
    order = factories.make_order("verified", account)
    for state in ("pending", "paid", "held", "refunded", "cancelled"):
        factories.make_order(state, account)
    client.get(f"/{code}/sign-in")
    client.get(f"/{code}/sign-up")
    client.get(f"/{code}/password-reset")
    client.get(f"/{code}/checkout/{factories.any_plan().slug}")
    client.sign_in(account)
    client.get(f"/{code}/account")
    client.get(f"/{code}/account/settings")
    client.get(f"/{code}/orders/{order.public_id}")
    client.get(f"/{code}/orders/{order.public_id}/receipt")


@pytest.mark.parametrize(
    ("path", "make"),
    [("/en/plans", "plans"), ("/en/account", "orders"), ("/en/renew/esims", "orders")],
)
def test_statements_do_not_grow(client: PageClient, factories: Factories, path: str, make: str) -> None:
    """Three rows and thirty cost the same number of SQL statements."""
    account = factories.make_account()
    client.sign_in(account)
    counts = []
    for number in (3, 27):
        for _ in range(number):
            if make == "plans":
                factories.make_plan()
            else:
                factories.make_order("verified", account)
        with count_statements() as statements:
            client.hx_get(f"{path}?unkept={number}")
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 12, counts


@pytest.mark.postgresql
def test_a_nul_character_is_answered_everywhere(app: Flask) -> None:
    """PostgreSQL takes no NUL in a text; an address that holds one is unknown, not an error."""
    client = app.test_client()
    with_nul = {name: value if name == "lang" else "a\0b" for name, value in VALUES.items()}
    answers = {}
    with app.test_request_context():
        adapter = app.url_map.bind("")
        for rule in app.url_map.iter_rules():
            names = rule.arguments - {"lang"}
            if "GET" in (rule.methods or ()) and names:
                path = adapter.build(rule.endpoint, {name: with_nul[name] for name in rule.arguments})
                answers[path] = client.get(path).status_code
    assert answers
    assert set(answers.values()) == {404}
    assert client.get("/en/plans?country=%00").status_code == 400

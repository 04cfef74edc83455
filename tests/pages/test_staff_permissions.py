"""Who may use which address below /staff: every route, every role and nobody, as the table in `access` says."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.routing import Rule

from blueprints.staff.access import ALLOWED, ROUTES, Act
from models import FindingKind, Order, StaffRole
from services.shop import Shop
from tests.factories import Factories
from tests.page_client import PageClient
from tests.staff_world import notice

DOORS = {"sign_in", "set_up", "sign_out"}
# What must not slip when somebody rewrites the tables: each line says all that support may not use.
NOT_FOR_SUPPORT = {
    *("refund", "save_page_text", "take_back_page_text", "save_plan_text", "remove_plan_text"),
    *("audit", "audit_csv"),
}


def staff_rules(app: Flask) -> list[tuple[Rule, str]]:
    """Return every rule below /staff with each method that it takes."""
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/staff")
        for method in sorted((rule.methods or set()) & {"GET", "POST"})
    ]


def route_of(rule: Rule) -> str:
    blueprint, _dot, route = rule.endpoint.partition(".")
    assert blueprint == "staff", f"{rule.rule} is below /staff and not of its blueprint"
    return route


@pytest.fixture
def order(factories: Factories) -> Order:
    return factories.make_order("held")


@pytest.fixture
def values(shop: Shop, order: Order) -> dict[str, str]:
    """Return what addresses of staff's name, all of it there; a token nobody was given."""
    finding_id = notice(shop, FindingKind.SESSION_UNKNOWN, "cs_1")
    there = {"public_id": order.public_id, "slug": "monaco-1gb-7-days", "page": "terms", "language": "fr"}
    return {**there, "finding_id": str(finding_id), "token": "x"}


def address(app: Flask, rule: Rule, values: dict[str, str]) -> str:
    missing = rule.arguments - set(values)
    assert not missing, f"say in `values` what {sorted(missing)} of {rule.rule} may be"
    with app.test_request_context():
        return app.url_map.bind("").build(rule.endpoint, {name: values[name] for name in rule.arguments})


def token_of(client: PageClient) -> dict[str, str]:
    """Return a valid token of the session that the client has, by the form that everybody is shown."""
    page = client.get("/staff/sign-in")
    return {"csrf_token": str(page.one("#staff-sign-in [name=csrf_token]")["value"])}


def status(app: Flask, client: PageClient, rule: Rule, method: str, values: dict[str, str]) -> int:
    """Send a request that is as complete as it takes to reach the view, and return what comes back."""
    path = address(app, rule, values)
    page = client.look(path) if method == "GET" else client.post(path, token_of(client), None)  # type: ignore[arg-type]
    return page.status


def test_every_route_has_its_row_and_every_row_its_route(app: Flask) -> None:
    """Whoever adds a route says here who may use it; until then nobody may."""
    assert {route_of(rule) for rule, _method in staff_rules(app)} == set(ROUTES)


def test_the_doors_are_the_only_routes_without_an_act() -> None:
    assert {route for route, act in ROUTES.items() if act is None} == DOORS


def test_every_act_is_somebodys() -> None:
    """And an owner may do all of them."""
    assert set(ALLOWED) == set(Act)
    assert all(StaffRole.OWNER in roles for roles in ALLOWED.values())
    assert {act for act in ROUTES.values() if act is not None} <= set(Act)


def test_what_support_may_not_use() -> None:
    closed = {route for route, act in ROUTES.items() if act is not None and StaffRole.SUPPORT not in ALLOWED[act]}
    assert closed >= NOT_FOR_SUPPORT


@pytest.mark.parametrize("role", StaffRole)
def test_each_role_may_use_what_the_table_says(
    app: Flask, factories: Factories, values: dict[str, str], role: StaffRole
) -> None:
    """403 where it may not; anything else where it may, but no way back to the sign-in."""
    member, wrong = factories.make_staff(role=role), {}
    for rule, method in staff_rules(app):
        act = ROUTES.get(route_of(rule))
        client = PageClient(app)
        client.sign_in_staff(member)
        found = status(app, client, rule, method, values)
        assert client.page is not None
        is_sent_away = found == 303 and client.page.location == "/staff/sign-in" and route_of(rule) not in DOORS
        is_allowed = act is None or role in ALLOWED[act]
        if (found == 403) is is_allowed or is_sent_away or found >= 500:
            wrong[f"{method} {rule.rule}"] = found
    assert wrong == {}


@pytest.mark.parametrize("traveller", [False, True])
def test_nobody_is_asked_to_sign_in(app: Flask, order: Order, values: dict[str, str], traveller: bool) -> None:
    """Also a traveller who is signed in to an account, and the buyer of the very order; doors stay open."""
    wrong = {}
    for rule, method in staff_rules(app):
        client = PageClient(app)
        if traveller:
            client.sign_in(order.account)
        found = status(app, client, rule, method, values)
        assert client.page is not None
        if route_of(rule) in DOORS:
            if found not in (200, 303, 404, 422):
                wrong[f"{method} {rule.rule}"] = found
        elif (found, client.page.response.headers.get("Location")) != (303, "/staff/sign-in"):
            wrong[f"{method} {rule.rule}"] = found
    assert wrong == {}


def test_htmx_is_told_where_to_sign_in(app: Flask, values: dict[str, str]) -> None:
    """A fragment must not become the sign-in page: 401, and the whole page goes there."""
    for rule, method in staff_rules(app):
        if route_of(rule) in DOORS:
            continue
        client, path = PageClient(app), address(app, rule, values)
        page = client.hx_get(path, 401) if method == "GET" else client.hx_post(path, token_of(client), 401)
        assert page.response.headers["HX-Redirect"] == "/staff/sign-in", path


def test_htmx_is_shown_that_something_is_not_allowed(client: PageClient, factories: Factories) -> None:
    client.sign_in_staff(factories.make_staff(role=StaffRole.SUPPORT))
    page = client.hx_get("/staff/audit", 403)
    assert page.response.headers["HX-Retarget"] == "#main"
    assert "Not yours to do" in page.text


def test_a_route_without_a_row_is_closed_to_everybody(
    app: Flask, client: PageClient, factories: Factories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever forgets the table has opened nothing."""
    monkeypatch.delitem(ROUTES, "stuck")
    client.sign_in_staff(factories.make_staff(role=StaffRole.OWNER))
    page = client.get("/staff/stuck", 403)
    assert "Nobody's role allows this." in page.text
    assert page.select("#top nav a")

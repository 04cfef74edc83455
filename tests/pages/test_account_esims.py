"""The overview, an eSIM's page and its remaining-data panel."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models import Account, Esim, EsimStatus, Plan
from services import usage_history
from services.suppliers import Temporary
from tests.account_world import World, counted_statements, make_world, reading_of, running
from tests.services.mail_world import GIGABYTE, add_order

HTMX = {"HX-Request": "true"}
STATES = (
    *("new", "active", "low", "short", "depleted", "expired by time", "cancelled", "no top-up", "unlimited"),
    *("silent", "never read"),
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def account_id(world: World) -> int:
    return world.add_traveller()


def panel_of(html: str) -> str:
    """Return the panel as it stands on a page, with white space and CSRF tokens made equal."""
    match = re.search(r'<section class="card" id="usage".*?</section>', html, re.DOTALL)
    assert match is not None
    return re.sub(r"[ \n]+", " ", re.sub(r'name="csrf_token" value="[^"]+"', "", match[0]))


def words_of(html: str) -> str:
    """Return what a reader sees of the panel."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", panel_of(html)))


def test_the_overview_costs_the_same_for_one_and_for_many(world: World, account_id: int) -> None:
    world.add_esim(account_id)
    visitor = world.traveller()
    visitor.get("/en/account")
    with counted_statements(world.app) as few:
        assert visitor.get("/en/account").status_code == 200
    for _ in range(30):
        world.add_esim(account_id)
    with counted_statements(world.app) as many:
        html = visitor.get("/en/account").text
    assert len(many) == len(few) <= 3
    assert "Monaco plan 31" in html


def test_orders_come_by_pages_with_their_receipts(world: World, account_id: int) -> None:
    world.add_esim(account_id)
    with world.app.app_context(), world.shop.transaction() as session:
        account, plan = session.get_one(Account, account_id), session.query(Plan).one()
        for _ in range(20):
            add_order(session, account, plan)
    visitor = world.traveller()
    first, second = visitor.get("/en/account").text, visitor.get("/en/account?page=2").text
    assert "/en/orders/TESTORD021/receipt" in first
    assert "/en/orders/TESTORD001" not in first
    assert 'rel="next" href="/en/account?page=2"' in first
    assert "/en/orders/TESTORD001/receipt" in second
    assert 'rel="next"' not in second
    for odd in ("0", "-1", "x", "999999999999"):
        assert visitor.get(f"/en/account?page={odd}").status_code == 200


def test_the_overview_names_nickname_number_state_and_what_is_left(world: World, account_id: int) -> None:
    world.add_esim(account_id, nickname="Anna <3", **running(world.clock.now()))
    html = world.traveller().get("/en/account").text
    for words in ("Anna &lt;3", "Monaco plan 1", "0222", "Active", "4\u00a0GB left"):
        assert words in html
    assert "894453853200816" not in html


@pytest.mark.parametrize("method", ["get", "reading", "nickname"])
def test_a_stranger_finds_no_esim(world: World, account_id: int, method: str) -> None:
    esim = world.add_esim(account_id)
    world.add_traveller("bob@example.org")
    bob = world.traveller("bob@example.org")
    bob.get("/en/account")
    address = f"/en/account/esims/{esim.public_id}"
    answers = {
        "get": lambda: bob.get(address),
        "reading": lambda: bob.post(f"{address}/usage-reading"),
        "nickname": lambda: bob.post(f"{address}/nickname", nickname="mine"),
    }
    assert answers[method]().status_code == 404
    assert world.supplier.asked == []
    assert world.esim(esim.id).nickname == ""


def states(world: World) -> dict[str, tuple[dict[str, Any], dict[str, Any], list[str], list[str]]]:
    """Return per state: values of the eSIM, values of its plan, words that must stand in the panel, and must not."""
    now = world.clock.now()
    hour = timedelta(hours=1)
    return {
        "new": (
            {"total_bytes": 5 * GIGABYTE, "used_bytes": 0, "total_days": 7, "expires_at": now + 24 * hour},
            {},
            [
                "Ready to install",
                "5\u00a0GB left",
                "7 days, not started",
                "first connects",
                "Install it by",
                "Renew this",
            ],
            ["Ends soon", "Ends "],
        ),
        "active": (
            running(now),
            {"voice_minutes": 30, "sms_count": 10},
            [
                "Active",
                "4\u00a0GB left",
                "80% left",
                "6 days",
                "Monaco time",
                "2 hours ago",
                "up to 3 hours",
                "30 minutes",
            ],
            ["Ends soon", "Little data", "Unknown"],
        ),
        "low": (running(now, used_bytes=4 * GIGABYTE), {}, ["20% left", "Little data is left", "Renew this eSIM"], []),
        "short": (
            running(now, expires_at=now + 30 * hour),
            {},
            ["1 day", "Ends soon", "It ends soon"],
            ["Little data"],
        ),
        "depleted": (
            running(now, used_bytes=5 * GIGABYTE, status=EsimStatus.DEPLETED),
            {},
            ["Data used up", "0\u00a0MB left", "goes on, without installing"],
            [],
        ),
        "expired by time": (
            running(now, expires_at=now - hour),
            {},
            ["Ended", "a new one is needed", "See the plans"],
            ["Renew this", "Time left"],
        ),
        "cancelled": (
            running(now, status=EsimStatus.CANCELLED),
            {},
            ["was cancelled", "See the plans"],
            ["Renew this"],
        ),
        "no top-up": (
            running(now),
            {"supplier_topup_code": None},
            ["cannot be topped up", "See the plans"],
            ["Renew this"],
        ),
        "unlimited": (
            running(now, total_bytes=None, used_bytes=3 * GIGABYTE),
            {"data_bytes": None},
            ["Unlimited data", "3\u00a0GB used so far"],
            ["% left"],
        ),
        "silent": (
            running(now, usage_silent_since=now - hour),
            {},
            ["Unknown at the moment", "the last figure", "4\u00a0GB left", "2 hours ago"],
            [],
        ),
        "never read": (
            {"status": EsimStatus.UNKNOWN, "usage_silent_since": now - hour},
            {},
            ["State unknown", "Unknown at the moment", "Data left: unknown"],
            ["the last figure", "As of"],
        ),
    }


@pytest.mark.parametrize("name", STATES)
def test_the_panel_says_how_it_is(world: World, account_id: int, name: str) -> None:
    values, plan, present, absent = states(world)[name]
    esim = world.add_esim(account_id, plan, **values)
    words = words_of(world.traveller().get(f"/en/account/esims/{esim.public_id}").text)
    assert [phrase for phrase in present if phrase not in words] == []
    assert [phrase for phrase in absent if phrase in words] == []


@pytest.mark.parametrize("language", ["en", "fr", "zh-hans", "ar"])
def test_the_page_speaks_every_language(world: World, account_id: int, language: str) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    assert world.traveller().get(f"/{language}/account/esims/{esim.public_id}").status_code == 200


def test_the_page_costs_the_same_for_one_package_and_for_many_esims(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    visitor = world.traveller()
    with counted_statements(world.app) as few:
        visitor.get(f"/en/account/esims/{esim.public_id}")
    for _ in range(10):
        world.add_esim(account_id)
    with counted_statements(world.app) as many:
        visitor.get(f"/en/account/esims/{esim.public_id}")
    assert len(many) == len(few) <= 5


def test_a_reading_by_htmx_equals_a_fresh_load(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now, usage_asked_at=now - timedelta(hours=1)))
    world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=3 * GIGABYTE, as_of=now)
    visitor = world.traveller()
    address = f"/en/account/esims/{esim.public_id}"
    before = visitor.get(address).text
    assert 'hx-trigger="submit, load"' in before
    answer = visitor.post(f"{address}/usage-reading", HTMX)
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith('<section class="card" id="usage"')
    assert "HX-Request" in answer.headers["Vary"]
    assert "2\u00a0GB left" in answer.text
    assert "hx-trigger" not in answer.text
    assert panel_of(answer.text) == panel_of(visitor.get(address).text)


def test_asking_too_early_says_when_and_asks_nobody(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    visitor = world.traveller()
    address = f"/en/account/esims/{esim.public_id}"
    visitor.get(address)
    visitor.post(f"{address}/usage-reading", HTMX)
    world.clock.move(timedelta(seconds=10))
    answer = visitor.post(f"{address}/usage-reading", HTMX)
    assert answer.status_code == 200
    assert "You can ask again in 20 seconds." in answer.text
    assert len(world.supplier.asked) == 1


def test_without_javascript_a_reading_leads_back_to_the_page(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    visitor = world.traveller()
    address = f"/en/account/esims/{esim.public_id}"
    visitor.get(address)
    answer = visitor.post(f"{address}/usage-reading")
    assert (answer.status_code, answer.location) == (303, f"{address}#usage")
    assert len(world.supplier.asked) == 1


def test_a_silent_supplier_does_not_break_the_page_or_make_it_ask_again(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now(), usage_asked_at=None))
    world.supplier.trouble = Temporary("down")
    visitor = world.traveller()
    visitor.get(f"/en/account/esims/{esim.public_id}")
    answer = visitor.post(f"/en/account/esims/{esim.public_id}/usage-reading", HTMX)
    assert answer.status_code == 200
    assert "Unknown at the moment" in answer.text
    assert "hx-trigger" not in answer.text


def test_a_nickname_is_kept_and_a_long_one_is_refused(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id)
    visitor = world.traveller()
    address = f"/en/account/esims/{esim.public_id}"
    visitor.get(address)
    assert visitor.post(f"{address}/nickname", nickname="  Phone of <Anna> ").status_code == 303
    assert "<h1>Phone of &lt;Anna&gt;</h1>" in visitor.get(address).text
    answer = visitor.post(f"{address}/nickname", nickname="x" * 41)
    assert answer.status_code == 422
    assert 'id="nickname-error"' in answer.text


def test_the_codes_stand_on_the_page_of_a_new_esim_and_later_on_request(world: World, account_id: int) -> None:
    fresh = world.add_esim(account_id)
    in_use = world.add_esim(account_id, **running(world.clock.now()))
    ended = world.add_esim(account_id, status=EsimStatus.EXPIRED)
    visitor = world.traveller()
    assert "3F815" in visitor.get(f"/en/account/esims/{fresh.public_id}").text
    assert "3F815" not in visitor.get(f"/en/account/esims/{in_use.public_id}").text
    assert "3F815" in visitor.get(f"/en/account/esims/{in_use.public_id}?install=1").text
    assert "3F815" not in visitor.get(f"/en/account/esims/{ended.public_id}?install=1").text


def add_days(world: World, esim: Esim, *figures: tuple[int, int]) -> None:
    """Note what the eSIM had used so many days ago."""
    now = world.clock.now()
    with world.app.app_context(), world.shop.transaction() as session:
        for days, used in figures:
            usage_history.note_days(session, [(esim.id, used, now - timedelta(days=days))], now)


def rows_of_days(html: str) -> list[str]:
    """Return the table of the use per day, a line for each row."""
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td></tr>", panel_of(html))
    return [" | ".join(row) for row in rows]


def test_the_ring_shows_what_is_left_and_names_it(world: World, account_id: int) -> None:
    now = world.clock.now()
    for values, share, dashes in (
        ({"used_bytes": GIGABYTE}, "80%", ["80.0 100"]),
        ({"used_bytes": 5 * GIGABYTE - 1}, "0%", ["1 100"]),
        ({"used_bytes": 5 * GIGABYTE}, "0%", []),
        ({"used_bytes": 0}, "100%", ["100.0 100"]),
    ):
        esim = world.add_esim(account_id, **running(now, **values))
        panel = panel_of(world.traveller().get(f"/en/account/esims/{esim.public_id}").text)
        assert f'role="img" aria-label="Data left: {share}"' in panel
        assert re.findall(r'pathLength="100" stroke-dasharray="([^"]+)"', panel) == dashes


def test_use_per_day_is_bars_and_a_table(world: World, account_id: int) -> None:
    esim = world.add_esim(account_id, **running(world.clock.now()))
    add_days(world, esim, (1, GIGABYTE // 2), (0, GIGABYTE))
    html = world.traveller().get(f"/en/account/esims/{esim.public_id}").text
    assert rows_of_days(html) == ["Nov 21 | 512\u00a0MB", "Nov 22 | 512\u00a0MB"]
    assert 'aria-label="Data used per day, Nov 21 to Nov 22.' in html
    assert panel_of(html).count("<rect") == 2
    assert "not known yet" not in html


def test_use_of_days_without_a_figure_is_one_sum_and_a_correction_is_unknown(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now, activated_at=now - timedelta(days=5)))
    add_days(world, esim, (4, 200 * 1024**2), (2, 900 * 1024**2), (1, 600 * 1024**2))
    html = world.traveller().get(f"/en/account/esims/{esim.public_id}").text
    assert rows_of_days(html) == [
        "Nov 17 to Nov 18 | 200\u00a0MB",
        "Nov 19 to Nov 20 | 700\u00a0MB",
        "Nov 21 | Not known",
        "Nov 22 | Not known",
    ]
    assert "-" not in "".join(rows_of_days(html))


def test_use_per_day_that_is_not_known_is_said_and_not_drawn(world: World, account_id: int) -> None:
    now = world.clock.now()
    unread = world.add_esim(account_id, **running(now))
    unused = world.add_esim(account_id)
    visitor = world.traveller()
    panel = panel_of(visitor.get(f"/en/account/esims/{unread.public_id}").text)
    assert "How much is used per day is not known yet." in panel
    assert "chart" not in panel
    assert "per day" not in panel_of(visitor.get(f"/en/account/esims/{unused.public_id}").text)


def test_an_unlimited_plan_has_bars_and_no_ring(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, {"data_bytes": None}, **running(now, total_bytes=None))
    add_days(world, esim, (1, GIGABYTE))
    panel = panel_of(world.traveller().get(f"/en/account/esims/{esim.public_id}").text)
    assert 'class="chart"' in panel
    assert "ring" not in panel


def test_an_esim_that_has_ended_shows_the_last_days_of_its_life(world: World, account_id: int) -> None:
    now = world.clock.now()
    ended = running(now, activated_at=now - timedelta(days=30), expires_at=now - timedelta(days=20))
    esim = world.add_esim(account_id, **ended)
    add_days(world, esim, (22, GIGABYTE), (21, 2 * GIGABYTE))
    html = world.traveller().get(f"/en/account/esims/{esim.public_id}").text
    assert rows_of_days(html)[-1] == "Nov 1 | 1\u00a0GB"


def test_the_last_days_stay_while_the_supplier_is_silent(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now, usage_silent_since=now - timedelta(hours=30)))
    add_days(world, esim, (1, GIGABYTE))
    html = world.traveller().get(f"/en/account/esims/{esim.public_id}").text
    assert "Unknown at the moment" in html
    assert rows_of_days(html) == ["Nov 21 | 1\u00a0GB", "Nov 22 | Not known"]


def test_a_reading_by_htmx_brings_the_bar_of_today(world: World, account_id: int) -> None:
    now = world.clock.now()
    esim = world.add_esim(account_id, **running(now, usage_asked_at=None))
    add_days(world, esim, (1, GIGABYTE))
    world.supplier.readings[esim.supplier_esim_id] = reading_of(esim, used_bytes=2 * GIGABYTE, as_of=now)
    visitor = world.traveller()
    address = f"/en/account/esims/{esim.public_id}"
    visitor.get(address)
    answer = visitor.post(f"{address}/usage-reading", HTMX)
    assert rows_of_days(answer.text) == ["Nov 21 | 1\u00a0GB", "Nov 22 | 1\u00a0GB"]
    assert panel_of(answer.text) == panel_of(visitor.get(address).text)

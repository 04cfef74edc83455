"""Names and descriptions of plans: written, removed, and English where there is none."""

from __future__ import annotations

import pytest

from models import PlanState, db
from services import plan_texts
from services.audit import Actor
from services.catalogue import PlanNotFound, catalogue_version, get_plan
from services.languages import LANGUAGES
from services.shop import Shop
from tests import both_databases
from tests.factories import Factories
from tests.running import count_statements
from tests.text_world import plan_text

SLUG = "monaco-1gb-7-days"
ANN = Actor(staff_id=1, name="Ann", role="manager")


def save(shop: Shop, code: str, name: str, description: str = "") -> None:
    with shop.transaction() as session:
        plan_texts.save_plan_text(session, SLUG, code, name, description, by=ANN, now=shop.clock.now())


def remove(shop: Shop, code: str) -> None:
    with shop.transaction() as session:
        plan_texts.remove_plan_text(session, SLUG, code, by=ANN, now=shop.clock.now())


@both_databases
def test_a_removed_text_is_the_english_one_until_another_is_written(shop: Shop) -> None:
    """For travellers, and on the list of staff."""
    english = get_plan(db.session(), SLUG, "en", "EUR").name
    versions = [catalogue_version(db.session())]
    remove(shop, "fr")
    versions.append(catalogue_version(db.session()))
    assert get_plan(db.session(), SLUG, "fr", "EUR").name == english
    assert [language.code for language in plan_texts.read_plan_texts(db.session(), SLUG).missing] == ["fr"]
    remove(shop, "fr")
    save(shop, "fr", "Monaco, une semaine", "Un gigaoctet.")
    versions.append(catalogue_version(db.session()))
    found = get_plan(db.session(), SLUG, "fr", "EUR")
    assert (found.name, found.description) == ("Monaco, une semaine", "Un gigaoctet.")
    save(shop, "fr", "Monaco, sept jours")
    found = get_plan(db.session(), SLUG, "fr", "EUR")
    assert (found.name, found.description) == ("Monaco, sept jours", "")
    # Kept pages are thrown away each time.
    assert sorted(set(versions)) == versions


def test_the_english_text_stays(shop: Shop) -> None:
    with pytest.raises(plan_texts.EnglishNeeded):
        remove(shop, "en")
    assert plan_text(SLUG, "en") is not None


def test_an_unknown_plan_is_not_found(shop: Shop) -> None:
    with pytest.raises(PlanNotFound):
        plan_texts.read_plan_texts(db.session(), "no-such-plan")
    with pytest.raises(PlanNotFound), shop.transaction() as session:
        plan_texts.save_plan_text(session, "no-such-plan", "en", "x", "", by=ANN, now=shop.clock.now())
    with pytest.raises(PlanNotFound), shop.transaction() as session:
        plan_texts.remove_plan_text(session, "no-such-plan", "fr", by=ANN, now=shop.clock.now())


def test_every_plan_is_listed_also_what_is_not_sold_any_more(factories: Factories) -> None:
    """Whoever has bought it still reads its name; one without an English name goes by its address."""
    factories.make_plan(slug="retired", state=PlanState.RETIRED)
    listed = {plan.slug: plan for plan in plan_texts.list_plan_texts(db.session())}
    assert listed["retired"].state is PlanState.RETIRED
    assert listed[SLUG].missing == []
    nameless = plan_texts.PlanTexts(slug="x", state=PlanState.ACTIVE, texts={})
    assert nameless.name == "x"
    assert len(nameless.missing) == len(LANGUAGES)


def test_statements_do_not_grow_with_plans(factories: Factories) -> None:
    counts = []
    for number in (1, 20):
        for _ in range(number):
            factories.make_plan()
        db.session.expire_all()
        with count_statements() as statements:
            plan_texts.list_plan_texts(db.session())
        counts.append(len(statements))
    assert counts[0] == counts[1] == 2


@pytest.mark.parametrize(
    ("typed", "kept"), [("  Monaco \r\n 1 GB ", "Monaco 1 GB"), ("", ""), ("Monaco\u00a01 GB", "Monaco 1 GB")]
)
def test_a_name_is_one_line(typed: str, kept: str) -> None:
    assert plan_texts.clean_name(typed) == kept


def test_a_description_keeps_its_lines() -> None:
    assert plan_texts.clean_description("\r\n One\r\nTwo\rThree \n") == "One\nTwo\nThree"

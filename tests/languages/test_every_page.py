"""Every page of the shop in every state and every language, with the same data: nothing of the source is left on it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from babel.core import Locale
from flask import Flask, url_for

from blueprints.health import PUBLIC_ENDPOINTS
from models import Plan, db
from sandbox.server import Sandbox
from services.languages import LANGUAGES, Language
from services.money import CURRENCIES
from services.phones import all_phones
from services.shop import Shop
from tests.factories import Factories
from tests.languages.pseudo import outside_marks, spoken
from tests.languages.reading import faults_of_page, faults_of_texts, texts_of
from tests.page_client import Page, PageClient
from tests.visits import Visit, World

# Names and codes: the same in every language. Everything else on a page has come through the catalogues, or is data.
NAMES = """
    Monaco France Italy eSIM iPhone iPad Android Samsung Xiaomi Google Apple Stripe Alipay WeChat PayPal WhatsApp LPA
    EID ICCID IMEI APN DEMO Wi-Fi QR SMS GB MB Telecom Demo Mobile smdp SM-DP internet TEST Ana AM PM and
"""
SITEMAP, XHTML = "{http://www.sitemaps.org/schemas/sitemap/0.9}", "{http://www.w3.org/1999/xhtml}"
_DATA = re.compile(
    r"""https?://\S+ | \S+@\S+ | LPA:1\$\S+ | \b[A-Z0-9]{8,}\b | \b\S*\.example\.com\S* | \#\S+ | \w*\d\w*""",
    re.VERBOSE,
)


def known_names(language: Language) -> frozenset[str]:
    """Return the words that are names: ours, those of languages and phones, and what CLDR calls countries and money."""
    locale = Locale.parse(language.locale)
    texts = [NAMES, *CURRENCIES, *(each.name for each in LANGUAGES.values()), *locale.territories.values()]
    texts += [*locale.currencies.values(), *locale.currency_symbols.values(), *locale.months["format"]["wide"].values()]
    texts += [*locale.months["format"]["abbreviated"].values(), *(phone.name for phone in all_phones())]
    return frozenset(word.lower() for text in texts for word in re.findall(r"[^\W\d_]+", text))


def every_state(world: World, app: Flask) -> list[tuple[Visit, Page]]:
    """Return every page that `visits` knows, as a browser without scripts is shown it."""
    stranger, owner = PageClient(app), PageClient(app)
    owner.sign_in(world.account)
    pages = []
    for visit in world.visits():
        client = owner if visit.signed_in else stranger
        client.look(visit.path)
        if client.page is not None and client.page.status in (302, 303):
            client.follow()
        visit.do.plainly(client)
        assert client.page is not None
        pages.append((visit, client.page))
    return pages


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_page_is_in_its_language(app: Flask, sandbox: Sandbox, code: str) -> None:
    """No text of the source, no placeholder, the right `lang` and `dir`; staff's pages are in English."""
    language = LANGUAGES[code]
    faults = []
    for visit, page in every_state(World(app, sandbox, code), app):
        if visit.endpoint.startswith("staff."):
            continue
        faults += [f"{visit.name}: {fault}" for fault in faults_of_page(page.soup, language)]
        if page.select("head link[rel=canonical]"):
            assert not page.select('meta[name="robots"]'), visit.name
        else:
            assert page.one('meta[name="robots"]')["content"] == "noindex", visit.name
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_fragments_are_in_their_language(app: Flask, sandbox: Sandbox, code: str) -> None:
    """What only a script asks for: the eSIMs in the guide, the address that looks mistyped."""
    language = LANGUAGES[code]
    world = World(app, sandbox, code)
    stranger, owner = PageClient(app), PageClient(app)
    owner.sign_in(world.account)
    slug = Factories(app.extensions["shop"]).any_plan().slug
    stranger.get(f"/{code}/checkout/{slug}")
    token = stranger.page.select('input[name="csrf_token"]')[0]["value"] if stranger.page else ""
    fragments = [client.hx_get(f"/{code}/renew/esims") for client in (stranger, owner)]
    fragments.append(
        stranger.hx_post(f"/{code}/checkout/{slug}/email", {"csrf_token": token, "email": "ana@gmial.com"})
    )
    faults = [fault for page in fragments for fault in faults_of_texts(texts_of(page.soup, language), language)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("code", ["en", "ar"])
def test_every_text_comes_through_the_catalogues(app: Flask, sandbox: Sandbox, shop: Shop, code: str) -> None:
    """In a language that nobody speaks, nothing readable is left but names, codes and data."""
    language = LANGUAGES[code]
    faults, names = set(), known_names(language)
    with spoken(code, shop):
        for visit, page in every_state(World(app, sandbox, code), app):
            if visit.endpoint.startswith("staff."):
                continue
            for text in texts_of(page.soup, language):
                left = _DATA.sub(" ", outside_marks(text))
                words = [word for word in re.findall(r"[^\W\d_]{2,}", left) if word.lower() not in names]
                if words and re.search(r"[A-Za-z]{2}", " ".join(words)):
                    faults.add(f"{visit.name}: {words} in {text!r}")
    assert not faults, "\n".join(sorted(faults))


def public_addresses(app: Flask) -> list[str]:
    """Return every public page, without its language and the slash before it."""
    slugs = db.session.scalars(db.select(Plan.slug).order_by(Plan.position)).all()
    with app.test_request_context():
        fixed = [url_for(endpoint, lang="en") for endpoint in PUBLIC_ENDPOINTS]
        plans = [url_for("catalogue.plan", lang="en", slug=slug) for slug in slugs]
    return [address.removeprefix("/en/") for address in (*fixed, *plans)]


def test_every_public_page_and_its_translations_name_each_other(app: Flask, client: PageClient) -> None:
    """`hreflang` is complete and mutual (RFC 8288; Google ignores what the other page does not confirm)."""
    shop_url = app.extensions["shop"].settings.shop_url
    wanted_codes = {language.html for language in LANGUAGES.values()} | {"x-default"}
    for address in public_addresses(app):
        said = {}
        for language in LANGUAGES.values():
            page = client.get(f"/{language.code}/{address}")
            links = page.select('link[rel="alternate"]')
            said[language.code] = {str(link["hreflang"]): str(link["href"]) for link in links}
            assert len(links) == len(wanted_codes)
            assert page.one('link[rel="canonical"]')["href"] == f"{shop_url}/{language.code}/{address}"
        assert set(said["en"]) == wanted_codes, address
        assert all(links == said["en"] for links in said.values()), address
        assert said["en"]["x-default"] == f"{shop_url}/en/{address}"
        for language in LANGUAGES.values():
            assert said["en"][language.html] == f"{shop_url}/{language.code}/{address}"


def test_the_sitemap_lists_the_same_alternates(app: Flask, client: PageClient) -> None:
    shop_url = app.extensions["shop"].settings.shop_url
    sitemap = ElementTree.fromstring(app.test_client().get("/sitemap.xml").data)  # noqa: S314 - our own
    entries = {
        url.findtext(f"{SITEMAP}loc"): {link.get("hreflang"): link.get("href") for link in url.findall(f"{XHTML}link")}
        for url in sitemap.findall(f"{SITEMAP}url")
    }
    addresses = public_addresses(app)
    assert set(entries) == {f"{shop_url}/{code}/{address}" for code in LANGUAGES for address in addresses}
    for address in ("", addresses[-1]):
        page = client.get(f"/ko/{address}")
        links = {str(link["hreflang"]): str(link["href"]) for link in page.select('link[rel="alternate"]')}
        assert entries[f"{shop_url}/ko/{address}"] == links

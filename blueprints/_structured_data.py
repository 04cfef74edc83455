"""What search engines are told about a page beside its words: JSON-LD in the vocabulary of schema.org.

Which properties a type needs is what Google asks of each (developers.google.com/search/docs/appearance/structured-data:
Product with Offer, FAQPage, BreadcrumbList, Organization); the vocabulary itself is schema.org.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from email.utils import parseaddr
from typing import Any

from flask import Flask, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup

from blueprints._language import current_language
from config import Settings
from services.catalogue import PlanView
from services.languages import LANGUAGES
from services.money import exponent

Node = dict[str, Any]


def prepare_structured_data(app: Flask, settings: Settings) -> None:
    """Give the templates `structured_data` and `product_data`: script elements that no browser runs."""

    def structured_data(
        title: str, questions: Iterable[tuple[str, str]] = (), above: Iterable[tuple[str, str]] = ()
    ) -> Markup:
        """Return what is known about the page named `title`: who runs it, what is above it, the questions it answers.

        `above` are names and addresses of pages between the start page and this one.
        """
        graph = [organization(settings.shop_url, logo, parseaddr(settings.smtp.mail_from)[1])]
        if request.endpoint != "catalogue.home":
            start = (_("Mobile data for Monaco"), url_for("catalogue.home"))
            graph.append(breadcrumbs(settings.shop_url, [start, *above, (title, request.path)]))
        asked = list(questions)
        if asked:
            graph.append(faq_page(asked))
        return _script({"@context": "https://schema.org", "@graph": graph})

    def product_data(plan: PlanView, price_minor: int) -> Markup:
        """Return what is known about a plan, with its price in all as it stands on the page (minor units)."""
        address = settings.shop_url + url_for("catalogue.plan", slug=plan.slug)
        node = product_with_offer(address, plan, price_minor, share_picture_url())
        return _script({"@context": "https://schema.org", **node})

    def share_picture_url() -> str:
        """Return the address of the picture that is shown with a link to the shop, in the language of the page."""
        return settings.shop_url + static_url(f"img/share/{current_language().code}.png")

    static_url: Callable[[str], str] = app.jinja_env.globals["static_url"]  # type: ignore[assignment]
    logo = settings.shop_url + static_url("img/logo.png")
    app.jinja_env.globals.update(
        structured_data=structured_data, product_data=product_data, share_picture_url=share_picture_url
    )


def organization(shop_url: str, logo: str, email: str) -> Node:
    """Return who runs the shop and how to reach them, in any language of the shop."""
    return {
        "@type": "Organization",
        "@id": f"{shop_url}/#shop",
        "name": _("Monaco travel card"),
        "alternateName": "远遊卡",
        "url": f"{shop_url}/",
        "logo": logo,
        "contactPoint": {
            "@type": "ContactPoint",
            "contactType": "customer support",
            "email": email,
            "availableLanguage": [language.html for language in LANGUAGES.values()],
        },
    }


def breadcrumbs(shop_url: str, crumbs: Iterable[tuple[str, str]]) -> Node:
    """Return the way from the start page to this one; `crumbs` are names and addresses within the shop."""
    return {
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": position, "name": _plain(name), "item": shop_url + address}
            for position, (name, address) in enumerate(crumbs, start=1)
        ],
    }


def faq_page(questions: Iterable[tuple[str, str]]) -> Node:
    """Return the questions of a page with their answers."""
    return {
        "@type": "FAQPage",
        "inLanguage": current_language().html,
        "mainEntity": [
            {
                "@type": "Question",
                "name": _plain(question),
                "acceptedAnswer": {"@type": "Answer", "text": _plain(answer)},
            }
            for question, answer in questions
        ],
    }


def product_with_offer(address: str, plan: PlanView, price_minor: int, picture: str) -> Node:
    """Return a plan with what it costs in all; `price_minor` is in minor units of the plan's currency."""
    digits = exponent(plan.currency)
    return {
        "@type": "Product",
        "@id": f"{address}#plan",
        "name": plan.name,
        "description": plan.description,
        "sku": plan.slug,
        "category": "Travel eSIM",
        "image": picture,
        "brand": {"@type": "Brand", "name": _("Monaco travel card")},
        "offers": {
            "@type": "Offer",
            "url": address,
            "price": f"{Decimal(price_minor).scaleb(-digits):.{digits}f}",
            "priceCurrency": plan.currency,
            "availability": "https://schema.org/InStock",
            "itemCondition": "https://schema.org/NewCondition",
        },
    }


def _script(data: Node) -> Markup:
    """Return the data as an element that holds it and that nothing in it can end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/ld+json">{text}</script>')  # noqa: S704 - escaped above


def _plain(text: str) -> str:
    """Return a text as people read it: templates hand texts over with their markup escaped."""
    return text.unescape() if isinstance(text, Markup) else text

"""Why a point is missing where one is; everything else below 100 fails `make lighthouse` (docs/lighthouse.md)."""

from __future__ import annotations

# By page and the audit that costs the point; the audit's id as Lighthouse reports it.
REASONS = {
    (page, "is-crawlable"): "noindex on purpose: the page is one visitor's own"
    for page in ("checkout", "order, delivered")
}


def reason_for(page: str, audit: str) -> str | None:
    """Return why an audit may fail on a page; None when it may not."""
    return REASONS.get((page, audit))

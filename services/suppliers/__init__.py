"""What the shop needs from an eSIM supplier, in the shop's own words; one module per supplier implements it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from models import EsimStatus


class SupplierError(Exception):
    """The supplier could not do what was asked. `code` is its own error code; never holds a secret."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Refused(SupplierError):
    """The supplier said no for good: nothing was bought, and asking again will not help."""


class PlanUnavailable(Refused):
    """The supplier no longer sells this plan."""


class OutOfStock(Refused):
    """The supplier has no eSIM left for this plan."""


class NotTopupable(Refused):
    """This eSIM cannot be topped up."""


class NotCancellable(Refused):
    """This eSIM cannot be given back any more: it was installed, or is over."""


class InvalidRequest(Refused):
    """The supplier did not accept the request as it was made: a mistake of ours, for staff."""


class PriceChanged(SupplierError):
    """The supplier asks another price than the one we know: nothing was bought, staff decides."""


class Waiting(SupplierError):
    """Nothing was bought and the same request may be sent again later."""


class InsufficientBalance(Waiting):
    """Our balance at the supplier is too low."""


class AuthError(Waiting):
    """The supplier does not accept our credentials."""


class RateLimited(Waiting):
    """The supplier asks for a pause."""


class Temporary(Waiting):
    """The supplier could not be reached; the request did not leave."""


class OutcomeUnknown(SupplierError):
    """The request left and no useful answer came: it may have been carried out."""


class NotFound(SupplierError):
    """The supplier knows no such order or eSIM."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """How a supplier behaves, where suppliers differ."""

    # A reading of the same eSIM is not asked for more often than this.
    min_read_interval: timedelta
    # How old the supplier's own figures may be when it gives them.
    usual_delay: timedelta


@dataclass(frozen=True, kw_only=True)
class SupplierPlan:
    """A plan or top-up as the supplier lists it; `cost` in ten-thousandths of a US dollar, `data_bytes` in bytes."""

    plan_code: str
    topup: bool
    name: str
    countries: tuple[str, ...]
    data_bytes: int | None
    per_day: bool
    days: int
    cost: int
    topup_supported: bool
    install_within_days: int | None


@dataclass(frozen=True, kw_only=True)
class PurchaseRequest:
    """A new eSIM to order; `reference` is ours, at most 50 ASCII characters, stored before it is sent."""

    reference: str
    plan_code: str
    expected_cost: int | None
    days: int | None


@dataclass(frozen=True, kw_only=True)
class TopupRequest:
    """A top-up to order for one eSIM; `reference` as in PurchaseRequest."""

    reference: str
    supplier_esim_id: str
    plan_code: str
    expected_cost: int | None


@dataclass(frozen=True, kw_only=True)
class PurchaseResult:
    """An accepted order; `profile` is None while the supplier allocates."""

    supplier_order_id: str
    profile: Profile | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """An allocated eSIM; the matching ID and the confirmation code are secrets, so it has no repr."""

    supplier_esim_id: str
    iccid: str
    smdp_address: str
    matching_id: str
    confirmation_code: str | None
    apn: str
    install_by: datetime | None
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the supplier says of an eSIM now: bytes, days and UTC; None where it says nothing."""

    supplier_esim_id: str
    iccid: str
    status: EsimStatus
    total_bytes: int | None
    used_bytes: int | None
    total_days: int | None
    activated_at: datetime | None
    expires_at: datetime | None
    package_count: int
    as_of: datetime | None
    # When the supplier added the newest package.
    newest_package_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the reading as JSON values, for keeping it beside an order."""
        return {
            key: value.isoformat() if isinstance(value, datetime) else value for key, value in self.__dict__.items()
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Reading:
        """Return the reading that `to_json` wrote."""
        moments = {
            key: datetime.fromisoformat(values[key]) if values.get(key) else None
            for key in ("activated_at", "expires_at", "as_of", "newest_package_at")
        }
        return cls(**{**values, **moments, "status": EsimStatus(values["status"])})


@dataclass(frozen=True, kw_only=True)
class ListedEsim:
    """An eSIM on the supplier's own list, with the reference under which it was ordered."""

    reference: str
    supplier_order_id: str
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class SupplierEvent:
    """Something a supplier's webhook hints at: whom to look at again, never what to believe."""

    kind: str
    supplier_order_id: str | None
    supplier_esim_id: str | None


class Supplier(Protocol):
    """A supplier of eSIMs. Every method may raise the errors above; none retries by itself."""

    code: str
    capabilities: Capabilities

    def list_plans(self) -> list[SupplierPlan]:
        """Return everything the supplier sells, plans and top-ups."""
        ...

    def list_topups(self, iccid: str) -> list[SupplierPlan]:
        """Return the top-ups that the supplier accepts for this eSIM now."""
        ...

    def place_order(self, request: PurchaseRequest) -> PurchaseResult:
        """Order a new eSIM; the same reference is the same order, however often it is sent."""
        ...

    def get_order(self, supplier_order_id: str) -> PurchaseResult:
        """Return an accepted order, with its profile once that is allocated."""
        ...

    def find_order(self, reference: str) -> PurchaseResult | None:
        """Return the order of the last three days under our reference; None when the supplier does not list it."""
        ...

    def list_esims(self, since: datetime) -> Iterator[ListedEsim]:
        """Yield every allocated eSIM that was ordered since then, also those that we know nothing of."""
        ...

    def cancel(self, supplier_esim_id: str) -> None:
        """Give an eSIM back that nobody has installed, for credit; raises NotCancellable when it is too late."""
        ...

    def place_topup(self, request: TopupRequest) -> None:
        """Order a top-up; returning means that the supplier accepted it."""
        ...

    def read_esim(self, supplier_esim_id: str) -> Reading:
        """Return what the supplier says of an eSIM now; raises NotFound."""
        ...

    def read_usage(self, supplier_esim_ids: Sequence[str]) -> dict[str, tuple[int, int, datetime | None]]:
        """Return used bytes, total bytes and their moment per eSIM, for those that the supplier knows."""
        ...

    def balance(self) -> int:
        """Return what is left on our account, in ten-thousandths of a US dollar."""
        ...

    def register_webhook(self, url: str) -> None:
        """Tell the supplier where its webhooks go."""
        ...

    def parse_webhook(self, payload: bytes) -> SupplierEvent | None:
        """Return what a webhook hints at, None for a health check; raises ValueError when it is none of ours."""
        ...

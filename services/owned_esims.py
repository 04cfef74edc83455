"""The eSIMs of one traveller, in short lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased, contains_eager

from models import Esim, EsimStatus, Plan, PlanText
from services.languages import DEFAULT_LANGUAGE
from services.usage_rules import effective_status, renewability


@dataclass(frozen=True, kw_only=True)
class OwnedEsim:
    """An eSIM as its owner knows it again; `expires_at` is None while its days have not started."""

    public_id: str
    name: str
    last_four: str
    status: EsimStatus
    expires_at: datetime | None
    renewable: bool


def list_owned_esims(session: Session, account_id: int, language: str, now: datetime) -> list[OwnedEsim]:
    """Return the eSIMs of an account, newest first, by one SQL statement."""
    wanted, fallback = aliased(PlanText), aliased(PlanText)
    rows = session.execute(
        select(Esim, func.coalesce(wanted.name, fallback.name))
        .join(Esim.plan)
        .options(contains_eager(Esim.plan))
        .outerjoin(wanted, (wanted.plan_id == Plan.id) & (wanted.language == language))
        .outerjoin(fallback, (fallback.plan_id == Plan.id) & (fallback.language == DEFAULT_LANGUAGE))
        .where(Esim.account_id == account_id)
        .order_by(Esim.id.desc())
    )
    return [
        OwnedEsim(
            public_id=esim.public_id,
            name=esim.nickname or plan_name or "",
            last_four=esim.iccid[-4:],
            status=effective_status(esim.status, esim.install_by, esim.expires_at, now),
            expires_at=esim.expires_at if esim.activated_at else None,
            renewable=renewability(esim, esim.plan.supplier_topup_code, now).possible,
        )
        for esim, plan_name in rows
    ]

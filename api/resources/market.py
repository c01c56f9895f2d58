"""Prices seen on markets: what the models learn from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.board.models import Money
from api.board.value import store
from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode
from core.errors import Rejected

router = APIRouter(prefix="/market", tags=["market"])

Word = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")]


class ObservationOut(BaseModel):
    """A price seen."""

    id: int
    make: str
    model: str | None
    trim: str | None
    model_year: int
    odometer_km: float | None
    condition: float | None
    region: str | None
    price: Money
    channel: str
    observed_at: date
    source: str | None

    @classmethod
    def of(cls, row: store.ObservationRow) -> ObservationOut:
        """Build from a row."""
        return cls(
            id=row.observation_id, make=row.make, model=row.model, trim=row.trim, model_year=row.model_year,
            odometer_km=row.odometer_km, condition=row.condition, region=row.region,
            price=Money(amount_minor=row.price_minor, currency=row.currency), channel=row.channel,
            observed_at=row.observed_at, source=row.source,
        )  # fmt: skip


@router.get("/observations")
def list_observations(
    conn: Conn,
    asker: Who,
    make: Word = None,
    model: Word = None,
    currency: Annotated[str | None, Query(pattern=r"^[A-Z]{3}$")] = None,
    channel: Literal["auction", "retail", "private", "trade"] | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ObservationOut]:
    """List prices seen, newest first; makes and models in lower case, as they are stored."""
    rows = store.observations(
        conn, make=_plain(make), model=_plain(model), currency=currency, channel=channel,
        before=_place(cursor), limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.observed_at.isoformat(), row.observation_id))
    return Page(items=list(map(ObservationOut.of, shown)), next=following)


def _plain(word: str | None) -> str | None:
    return None if word is None else " ".join(word.split()).lower()


def _place(cursor: str | None) -> tuple[date, int] | None:
    key = decode(cursor, str, int)
    if key is None:
        return None
    try:
        return date.fromisoformat(str(key[0])), int(key[1])
    except ValueError as exc:
        raise Rejected(
            "Expected the `next` value of an earlier page, was something else", code="bad_cursor"
        ) from exc

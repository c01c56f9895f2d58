"""SQL of the portfolio and of market observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class BranchRow:
    """What one branch has lent in one currency, and what stands behind it. Vehicles, not loans, have a value.

    Bands count vehicles by everything owed on them, as it is now, over the newest smoothed value.
    """

    org_id: str
    name: str
    currency: str
    vehicles: int
    loans: int
    balance_minor: int
    valued: int
    valued_balance_minor: int
    value_minor: int
    lending_minor: int
    below_60: int
    from_60: int
    from_70: int
    from_82: int
    from_85: int
    from_100: int
    breaches: int
    held_by_model_step: int
    manual_appraisals_open: int
    not_trusted: int
    oldest_mark: date | None


_PORTFOLIO = """
WITH live AS (
    SELECT v.org_id, l.currency, l.vehicle_id, l.loan_id, l.balance_minor
    FROM loan l JOIN vehicle v USING (vehicle_id)
    WHERE v.org_id = ANY(%(orgs)s) AND l.status NOT IN ('paid', 'written_off') AND l.balance_minor > 0
), marked AS (
    SELECT live.*, m.smoothed_minor, m.lending_minor, m.raised, m.rebase, m.as_of
    FROM live LEFT JOIN LATERAL (
        SELECT smoothed_minor, lending_minor, raised, rebase, as_of FROM ltv_mark
        WHERE ltv_mark.loan_id = live.loan_id AND ltv_mark.vehicle_id = live.vehicle_id
        ORDER BY mark_id DESC LIMIT 1) m ON true
), by_vehicle AS (
    SELECT org_id, currency, vehicle_id, count(*) AS loans, sum(balance_minor) AS balance_minor,
           max(smoothed_minor) AS value_minor, max(lending_minor) AS lending_minor,
           coalesce(bool_or(raised), false) AS raised, coalesce(bool_or(rebase <> 1), false) AS held,
           min(as_of) AS as_of,
           sum(balance_minor)::double precision / max(smoothed_minor) AS ltv
    FROM marked GROUP BY org_id, currency, vehicle_id
), looked AS (
    SELECT b.*, e.status, o.appraisal_id IS NOT NULL AS asked
    FROM by_vehicle b
    LEFT JOIN LATERAL (SELECT status FROM estimate WHERE estimate.vehicle_id = b.vehicle_id
                       ORDER BY estimate_id DESC LIMIT 1) e ON true
    LEFT JOIN manual_appraisal o ON o.vehicle_id = b.vehicle_id AND o.state = 'open'
)
SELECT l.org_id, u.name, l.currency, count(*)::int AS vehicles, sum(l.loans)::int AS loans,
       sum(l.balance_minor)::bigint AS balance_minor, count(l.value_minor)::int AS valued,
       coalesce(sum(l.balance_minor) FILTER (WHERE l.value_minor IS NOT NULL), 0)::bigint
           AS valued_balance_minor,
       coalesce(sum(l.value_minor), 0)::bigint AS value_minor,
       coalesce(sum(l.lending_minor), 0)::bigint AS lending_minor,
       (count(*) FILTER (WHERE l.ltv < 0.6))::int AS below_60,
       (count(*) FILTER (WHERE l.ltv >= 0.6 AND l.ltv < 0.7))::int AS from_60,
       (count(*) FILTER (WHERE l.ltv >= 0.7 AND l.ltv < 0.82))::int AS from_70,
       (count(*) FILTER (WHERE l.ltv >= 0.82 AND l.ltv < 0.85))::int AS from_82,
       (count(*) FILTER (WHERE l.ltv >= 0.85 AND l.ltv < 1))::int AS from_85,
       (count(*) FILTER (WHERE l.ltv >= 1))::int AS from_100,
       (count(*) FILTER (WHERE l.raised))::int AS breaches,
       (count(*) FILTER (WHERE l.held))::int AS held_by_model_step,
       (count(*) FILTER (WHERE l.asked))::int AS manual_appraisals_open,
       (count(*) FILTER (WHERE l.status IN ('stale', 'wide', 'thin')))::int AS not_trusted,
       min(l.as_of) AS oldest_mark
FROM looked l JOIN org_unit u USING (org_id)
GROUP BY l.org_id, u.name, l.currency ORDER BY l.org_id, l.currency
"""


def portfolio(conn: Connection, org_ids: Sequence[str]) -> list[BranchRow]:
    """Return one row per branch and currency in which anything is owed."""
    with conn.cursor(row_factory=class_row(BranchRow)) as cur:
        return cur.execute(_PORTFOLIO, {"orgs": list(org_ids)}).fetchall()


@dataclass(frozen=True, slots=True)
class ObservationRow:
    """A price seen on a market."""

    observation_id: int
    make: str
    model: str | None
    trim: str | None
    model_year: int
    odometer_km: float | None
    condition: float | None
    region: str | None
    price_minor: int
    currency: str
    channel: str
    observed_at: date
    source: str | None


def observations(
    conn: Connection,
    *,
    make: str | None,
    model: str | None,
    currency: str | None,
    channel: str | None,
    before: tuple[date, int] | None,
    limit: int,
) -> list[ObservationRow]:
    """Return prices seen, the newest first; ``before`` is (day, id) of the last row of the page before."""
    with conn.cursor(row_factory=class_row(ObservationRow)) as cur:
        return cur.execute(
            f"SELECT {', '.join(ObservationRow.__dataclass_fields__)} FROM market_observation"
            " WHERE (%(make)s::text IS NULL OR make = %(make)s)"
            " AND (%(model)s::text IS NULL OR model = %(model)s)"
            " AND (%(currency)s::text IS NULL OR currency = %(currency)s)"
            " AND (%(channel)s::text IS NULL OR channel = %(channel)s)"
            " AND (%(day)s::date IS NULL OR (observed_at, observation_id) < (%(day)s::date, %(id)s))"
            " ORDER BY observed_at DESC, observation_id DESC LIMIT %(limit)s",
            {
                "make": make, "model": model, "currency": currency, "channel": channel,
                "day": before[0] if before else None, "id": before[1] if before else None, "limit": limit,
            },
        ).fetchall()  # fmt: skip

"""`python -m pledgewatch.bench.market.fitting DAY`: fit and store a model; prints seconds and peak memory.

A process of its own, since the peak of one that did other things before says nothing.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import date

from core.clock import monotonic
from core.db.pool import connect
from core.settings import load_settings
from valuation.market.store import load_observations
from valuation.model.fit import fit
from valuation.model.store import save_model

CURRENCY, CHANNEL = "CNY", "auction"


def main(day: str) -> None:
    """Read every observation, fit, store."""
    settings = load_settings()
    with connect(settings.database_url or "", name="bench-fit") as conn:
        before_mb = _peak_mb()
        began_s = monotonic()
        observations = load_observations(conn, currency=CURRENCY, channel=CHANNEL)
        model = fit(observations, currency=CURRENCY, channel=CHANNEL, data_cut=date.fromisoformat(day))
        save_model(conn, model)
        conn.commit()
        spent_s = monotonic() - began_s
    print(
        "fitted "
        + json.dumps(
            {"seconds": spent_s, "peak_mb": _peak_mb(), "before_mb": before_mb, "rows": observations.num_rows}
        ),
        flush=True,
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(sys.argv[1])

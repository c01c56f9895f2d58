"""`pledgewatch valuation mark`: value what is pledged today, now."""

from __future__ import annotations

import json as json_text

import typer


def mark(
    vehicle: str | None = typer.Option(None, help="One vehicle, explained; default: all with a live loan."),
    json: bool = typer.Option(False, "--json", help="End with one JSON object on stdout."),
) -> None:
    """Mark vehicles to market: today's estimates, LTV of their loans, findings. Twice a day writes once.

    Example: pledgewatch valuation mark --vehicle V1 --json
    """
    from core.db.pool import connect
    from core.settings import load_settings
    from core.telemetry.clock import open_clock
    from pledgewatch.embedded.stack import open_stack
    from valuation.service.mark import mark_all, mark_vehicle
    from valuation.vehicles.models import PROCESS_MODELS

    settings = load_settings()
    with (
        open_stack(settings) as stack,
        connect(stack.database_url, name="valuation-mark", autocommit=True) as conn,
    ):
        now = open_clock(conn, settings).now()
        if vehicle is None:
            done = mark_all(conn, PROCESS_MODELS, now, settings.timezone)
            told: dict[str, object] = {
                "vehicles": done.vehicles, "loans": done.loans, "raised": done.raised,
                "cleared": done.cleared, "by_status": dict(done.by_status),
            }  # fmt: skip
        else:
            with conn.transaction():
                estimate = mark_vehicle(conn, PROCESS_MODELS, vehicle, now, settings.timezone, actor="cli")
            told = {
                "vehicle_id": vehicle, "status": estimate.status, "cautions": estimate.cautions,
                "reason": estimate.reason, "currency": estimate.currency,
                "estimate_minor": estimate.estimate_minor, "low_minor": estimate.low_minor,
                "high_minor": estimate.high_minor, "lending_minor": estimate.lending_minor,
                "thickness": estimate.thickness, "segment": estimate.segment,
                "model_version": estimate.model_version, "as_of": estimate.as_of.isoformat(),
            }  # fmt: skip
    if json:
        print(json_text.dumps(told, ensure_ascii=False))
    else:
        for name, value in told.items():
            print(f"{name}: {value}")

"""Filling templates: the language, the asker, the ages, and what the page's modules need to know."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.web import phrases
from api.web.static import IMPORT_MAP
from api.web.texts import LOCALES, Texts, texts
from collateral.domain import Purpose
from core.clock import DataClock, ScaledClock, wall_now

if TYPE_CHECKING:
    from fastapi import Request

    from api.auth import Asker
    from api.deps import Services
    from core.clock import Clock
    from core.settings import Settings

LANGUAGE_COOKIE = "pw_lang"
PURPOSE_COOKIE = "pw_purpose"

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def locale_of(request: Request, settings: Settings) -> str:
    """Return the browser's chosen language, else the deployment's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LOCALES else settings.locale


def default_purpose(asker: Asker) -> Purpose:
    """Return the purpose a role's work has, shown in the page's head, where it can be changed."""
    if "recovery" in asker.roles:
        return Purpose.RECOVERY
    if "auditor" in asker.roles:
        return Purpose.AUDIT
    return Purpose.SUPPORT if "device_manager" in asker.roles else Purpose.RISK_REVIEW


def purpose_of(request: Request, asker: Asker) -> Purpose:
    """Return the purpose chosen in the page's head, else that of the role."""
    try:
        return Purpose(request.cookies.get(PURPOSE_COOKIE, ""))
    except ValueError:
        return default_purpose(asker)


def render(
    request: Request,
    services: Services,
    asker: Asker | None,
    template: str,
    *,
    status: int = 200,
    **facts: Any,
) -> HTMLResponse:
    """Return a page or a fragment."""
    settings = services.settings
    t = texts(locale_of(request, settings))
    zone = ZoneInfo(settings.timezone)
    now = facts.pop("now", None) or services.clock.now()
    context = {
        "t": t,
        "asker": asker,
        "request_path": request.url.path,
        "query": request.query_params,
        "nonce": request.state.nonce,
        "import_map": json.dumps(IMPORT_MAP),
        "now": now,
        "clock_rate": clock_rate(services.clock),
        "zone": zone,
        "purpose": purpose_of(request, asker) if asker else None,
        "age": partial(_age, t, now),
        # Acts of people carry wall time, whatever clock the reports run on.
        "wall_age": partial(_age, t, wall_now()),
        "span": partial(phrases.span, t),
        "moment": partial(phrases.moment, zone=zone),
        "both_times": partial(phrases.both_times, zone=zone),
        "money": partial(phrases.money, t),
        "price": partial(phrases.price, t),
        "clock_time": partial(phrases.clock_time, zone=zone),
        "evidence": partial(phrases.evidence, t, zone=zone),
        "why": partial(phrases.why, t),
        "to_json": partial(json.dumps, ensure_ascii=False),
        **facts,
    }
    return HTMLResponse(_environment.get_template(template).render(context), status_code=status)


def map_config(settings: Settings) -> dict[str, Any]:
    """Return what the map module needs to know of the deployment."""
    return {
        "style_url": settings.map_style_url,
        "tile_url": settings.map_tile_url,
        "datum": settings.map_tile_datum,
    }


def clock_rate(clock: Clock) -> float:
    """Return how fast telemetry time runs at this moment, so that ages in an open page keep up."""
    if isinstance(clock, DataClock):
        return 0.0
    if isinstance(clock, ScaledClock) and clock.meets_wall_at() > wall_now():
        return clock.rate
    return 1.0


def _age(t: Texts, now: datetime, value: datetime | None) -> str:
    return phrases.age(t, None if value is None else (now - value).total_seconds())

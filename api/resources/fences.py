"""Fences, as GeoJSON geometries in WGS-84, and the deployment's own roads for the map without tiles."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import shapely
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from api.deps import Conn, Now, Who, Wired
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from core.clock import from_ms, to_ms
from core.errors import Rejected
from geofence.editing import put_in_force
from geofence.fences import load_geojson
from geofence.store import fences as store

router = APIRouter(tags=["fences"])


class FenceOut(BaseModel):
    """The version of a fence that is in force.

    A circle is a Point and ``radius_m``, a corridor a line and ``width_m``.
    """

    id: str
    version: int
    name: str
    category: str
    kind: str
    geometry: dict[str, Any]
    radius_m: float | None
    width_m: float | None
    datum: str
    scope: str
    dwell_s: int | None
    valid_from: datetime | None
    valid_to: datetime | None


@router.get("/fences")
def list_fences(
    conn: Conn,
    asker: Who,
    now: Now,
    category: Annotated[str | None, Query(max_length=40)] = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Page[FenceOut]:
    """List the fences in force now, by id."""
    after = decode(cursor, str)
    rows = store.in_force(
        conn, to_ms(now), category=category, after=str(after[0]) if after else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row["id"],))
    return Page(items=list(map(_out, shown)), next=following)


class FeatureCollection(BaseModel):
    """GeoJSON (RFC 7946). A Point needs ``radius_m`` in its properties, a line ``width_m``."""

    type: Literal["FeatureCollection"]
    features: Annotated[list[dict[str, Any]], Field(max_length=10_000)]


class FenceEdit(BaseModel):
    """What an import did: by fence id; features that could not be used, and those that were repaired."""

    added: list[str]
    changed: list[str]
    unchanged: list[str]
    repaired: list[str]
    refused: list[str]
    vehicles_judged_again: int


@router.post("/fences", status_code=201)
def import_fences(
    collection: FeatureCollection,
    conn: Conn,
    asker: Who,
    now: Now,
    once: OnlyOnce,
    category: Annotated[str, Query(max_length=40, description="What these fences mean: second_pledge, …")],
    datum: Literal["wgs84", "gcj02", "bd09"] = "wgs84",
) -> FenceEdit:
    """Put GeoJSON fences into force: new ones for all time, changed ones from now on."""

    def make() -> FenceEdit:
        loaded = load_geojson(json.dumps(collection.model_dump()).encode(), category, datum)
        if loaded.refused and not loaded.fences:
            raise Rejected(
                f"Expected a usable feature, there is none: {loaded.refused[0]}",
                code="no_usable_fence", refused=list(map(str, loaded.refused[:100])),
            )  # fmt: skip
        edit = put_in_force(conn, loaded.fences, now_ms=to_ms(now), created_by=asker.actor)
        return FenceEdit(
            added=list(edit.added), changed=list(edit.changed), unchanged=list(edit.unchanged),
            repaired=list(map(str, loaded.repaired)), refused=list(map(str, loaded.refused)),
            vehicles_judged_again=edit.replays,
        )  # fmt: skip

    return once(FenceEdit, make)


@router.get("/map/roads", response_class=Response, responses={200: {"content": {"application/geo+json": {}}}})
def map_roads(asker: Who, services: Wired) -> Response:
    """Return the roads that the deployment keeps under DATA_DIR/map, or none."""
    path = services.settings.data_dir / "map" / "roads.geojson"
    if path.is_file():
        return FileResponse(
            path, media_type="application/geo+json", headers={"Cache-Control": "private, max-age=600"}
        )
    return JSONResponse({"type": "FeatureCollection", "features": []}, media_type="application/geo+json")


def _out(row: dict[str, Any]) -> FenceOut:
    return FenceOut(
        id=row["id"], version=row["version"], name=row["name"], category=row["category"], kind=row["kind"],
        geometry=json.loads(shapely.to_geojson(shapely.from_wkb(bytes(row["wkb"])))),
        radius_m=row["radius_m"], width_m=row["width_m"], datum=row["datum"], scope=row["scope"],
        dwell_s=row["dwell_s"],
        valid_from=None if row["valid_from_ms"] is None else from_ms(row["valid_from_ms"]),
        valid_to=None if row["valid_to_ms"] is None else from_ms(row["valid_to_ms"]),
    )  # fmt: skip

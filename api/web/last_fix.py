"""The newest fix of one vehicle, with links that open it in a map program, each in that program's datum.

Whoever shows it writes the view log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from api.board import store as board
from api.board.models import PositionOut
from core.geo.frames import convert

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from core.db.pool import Connection


def newest_fix(
    conn: Connection, org_ids: Sequence[str], now: datetime, vehicle_id: str
) -> dict[str, Any] | None:
    """Return ``position`` and the addresses ``amap`` (GCJ-02) and ``baidu`` (BD-09); None without a fix."""
    rows = board.positions(conn, org_ids, vehicle_ids=[vehicle_id], after=None, limit=1)
    if not rows:
        return None
    position = PositionOut.of(rows[0], now)
    title = quote(position.plate or vehicle_id)
    amap_lon, amap_lat = _in(position, "gcj02")
    baidu_lon, baidu_lat = _in(position, "bd09")
    return {
        "position": position,
        "amap": f"https://uri.amap.com/marker?position={amap_lon:.6f},{amap_lat:.6f}&name={title}&coordinate=gaode",
        "baidu": "https://api.map.baidu.com/marker?"
        f"location={baidu_lat:.6f},{baidu_lon:.6f}&title={title}&content={title}&coord_type=bd09ll&output=html",
    }


def _in(position: PositionOut, datum: str) -> tuple[float, float]:
    lon, lat = convert(position.lon, position.lat, "wgs84", datum)
    return lon.item(), lat.item()

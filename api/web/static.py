"""Our own browser modules, and the few files of installed libraries that pages load."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from core.errors import NotFound

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope


HERE = Path(__file__).parent
STATIC = HERE / "static"
LIBRARIES = HERE.parents[1] / "node_modules"

VENDOR = {
    "maplibre-gl/maplibre-gl.mjs": "maplibre-gl/dist/maplibre-gl.mjs",
    "maplibre-gl/maplibre-gl-shared.mjs": "maplibre-gl/dist/maplibre-gl-shared.mjs",
    "maplibre-gl/maplibre-gl-worker.mjs": "maplibre-gl/dist/maplibre-gl-worker.mjs",
    "maplibre-gl/maplibre-gl.css": "maplibre-gl/dist/maplibre-gl.css",
    "htmx/htmx.js": "htmx.org/dist/htmx.esm.min.js",
    "uplot/uplot.js": "uplot/dist/uPlot.esm.js",
    "uplot/uplot.css": "uplot/dist/uPlot.min.css",
}
"""What is served under /static/vendor; nothing else of node_modules is reachable."""

IMPORT_MAP = {
    "imports": {
        "maplibre-gl": "/static/vendor/maplibre-gl/maplibre-gl.mjs",
        "htmx": "/static/vendor/htmx/htmx.js",
        "uplot": "/static/vendor/uplot/uplot.js",
    }
}

# Slim images have no mime table, and a module of an unknown type is never run (style-ecosystem C2.2).
mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("image/svg+xml", ".svg")

DAY_S = 86_400


class _OwnFiles(StaticFiles):
    """Own files change with every release: the browser asks again, and mostly hears 304."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response(path, scope)
        except HTTPException as exc:
            raise NotFound(f"Expected a file of ours, there is no {path}") from exc


async def _vendor(request: Request) -> Response:
    path = VENDOR.get(request.path_params["path"])
    if path is None or not (LIBRARIES / path).is_file():
        raise NotFound(
            "Expected an installed browser library; `make setup` installs them", code="library_missing"
        )
    return FileResponse(LIBRARIES / path, headers={"Cache-Control": f"public, max-age={DAY_S}"})


def mount(app: FastAPI) -> None:
    """Serve /static/app and /static/vendor."""
    app.router.routes.append(Route("/static/vendor/{path:path}", _vendor, methods=["GET", "HEAD"]))
    app.mount("/static/app", _OwnFiles(directory=STATIC / "app"))

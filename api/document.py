"""The OpenAPI document: of /api/v1 alone, with problem JSON as the answer to everything that fails."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI

from api.problem import MEDIA_TYPE, Problem

PROBLEM = {
    "description": "Problem (RFC 9457); programs look at `code`.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@cache
def describe() -> dict[str, Any]:
    """Return the document; it depends on the code alone."""
    from api.app import api_router  # noqa: PLC0415 - the application imports this module

    app = FastAPI(
        title="Pledgewatch",
        version="1",
        description=(
            "Watches vehicles that secure loans. Times are RFC 3339, money is integer minor units, lists are "
            "`{items, next}`. Reads of locations need a `Purpose` header and are logged."
        ),
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(api_router())
    text = app.openapi()
    schemas = text["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    text["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    text["security"] = [{"token": []}]
    for operations in text["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
    return text

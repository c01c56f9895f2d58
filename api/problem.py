"""Every error leaves as RFC 9457 problem JSON with our code; pages get a page with the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from core.errors import PledgewatchError

MEDIA_TYPE = "application/problem+json"
BY_STATUS = {
    401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    413: "payload_too_large", 415: "unsupported_media_type",
}  # fmt: skip

_log = structlog.get_logger("api")


class FieldFault(BaseModel):
    """One field that could not be used."""

    where: str = Field(description="Path of the field, such as body.plate")
    code: str
    message: str


class Problem(BaseModel):
    """RFC 9457; ``type`` is about:blank, ``code`` is what programs should look at."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    facts: dict[str, Any] = {}
    errors: list[FieldFault] = []


BY_CODE = {
    "insufficient_funds": 402, "terms_version": 422, "appraisal_stale": 422, "start_below_floor": 422,
    "off_grid": 422,
}  # fmt: skip
"""Codes whose status is finer than that of their class in core/errors.py."""


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(PledgewatchError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.DataError, _data)
    app.add_exception_handler(psycopg.OperationalError, _database_down)
    app.add_exception_handler(PoolTimeout, _database_down)
    app.add_exception_handler(Exception, _unexpected)


def answer(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    facts: Mapping[str, object] | None = None,
    errors: Sequence[FieldFault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build the response: a page for somebody who browses, problem JSON for everybody else."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path,
        facts=dict(facts or {}),
        errors=list(errors),
    )
    if _wants_page(request):
        if status == HTTPStatus.UNAUTHORIZED:
            return RedirectResponse("/sign-in", status_code=303)
        page: Response = request.app.state.problem_page(request, problem)
        return page
    return JSONResponse(
        problem.model_dump(mode="json"),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def _wants_page(request: Request) -> bool:
    path = request.url.path
    if path.startswith(("/api/", "/health/", "/metrics", "/static/")) or request.headers.get("hx-request"):
        return False
    return "text/html" in request.headers.get("accept", "")


def _ours(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, PledgewatchError)  # noqa: S101 - registered for this type
    headers: dict[str, str] = {}
    if exc.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="pledgewatch"'
    if "retry_after_s" in exc.facts:
        headers["Retry-After"] = str(exc.facts["retry_after_s"])
    if exc.status == HTTPStatus.SERVICE_UNAVAILABLE:
        # Expected now and then; a traceback would carry what the caller sent, a maximum for instance.
        _log.warning("request_unavailable", path=request.url.path, code=exc.code)
    elif exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("request_failed", path=request.url.path, code=exc.code, exc_info=exc)
    status = BY_CODE.get(exc.code, exc.status)
    return answer(request, status, exc.code, exc.message, facts=exc.facts, headers=headers)


def _validation(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for this type
    # The offending input is not echoed: it may be somebody's phone number.
    faults = [
        FieldFault(where=".".join(map(str, fault["loc"])), code=fault["type"], message=fault["msg"])
        for fault in exc.errors()
    ]
    purpose = [fault for fault in faults if fault.where.lower() == "header.purpose"]
    code = "purpose_required" if purpose else "invalid_request"
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults[:3])
    # 400 for the purpose (contract); 422 says: well-formed, but not of the schema.
    status = HTTPStatus.BAD_REQUEST if purpose else HTTPStatus.UNPROCESSABLE_ENTITY
    return answer(request, status, code, detail, errors=faults)


def _http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for this type
    code = BY_STATUS.get(exc.status_code, "http_error")
    return answer(request, exc.status_code, code, str(exc.detail), headers=exc.headers)


def _data(request: Request, exc: Exception) -> Response:
    """Text with U+0000 or a number out of a column's range: the input's fault, and said so."""
    return answer(
        request, HTTPStatus.BAD_REQUEST, "unusable_value", f"Expected storable values: {exc}".strip()
    )


def _database_down(request: Request, exc: Exception) -> Response:
    _log.error("database_unavailable", path=request.url.path, error=str(exc))
    return answer(
        request,
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database_unavailable",
        "The database does not answer; try again.",
        headers={"Retry-After": "2"},
    )


def _unexpected(request: Request, exc: Exception) -> Response:
    _log.error("request_crashed", path=request.url.path, exc_info=exc)
    return answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something of ours failed; it is in the log.",
    )

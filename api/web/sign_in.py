"""Signing in and out: a password, or a link that works once and from this machine only."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.auth import COOKIE, check_same_origin
from api.brake import store as brake
from api.deps import Who, Wired, address_of, asker_of
from api.web.render import LANGUAGE_COOKIE, render
from api.web.texts import LOCALES
from collateral.staff import access, people
from core.errors import Forbidden, TooManyRequests

router = APIRouter(include_in_schema=False)

MOST_PER_LOGIN = 5
MOST_PER_ADDRESS = 30
"""Failures within a quarter of an hour; an office behind one address shares the second."""
LANGUAGE_COOKIE_S = 400 * 86_400


@router.get("/sign-in")
def sign_in_page(request: Request, services: Wired) -> HTMLResponse:
    """Show the form."""
    return render(request, services, None, "sign_in.html", failed=False)


@router.post("/sign-in")
def sign_in(
    request: Request,
    services: Wired,
    login: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
) -> Response:
    """Open a session for a right password; slow down whoever guesses."""
    check_same_origin(request)
    name, address = login.strip().lower()[:64].replace("\x00", ""), address_of(request)
    # Transactions of their own: a failure must be counted although the request ends in an error page.
    with services.pool.connection() as conn:
        by_login, by_address = brake.failures(conn, name, address)
        if by_login >= MOST_PER_LOGIN or by_address >= MOST_PER_ADDRESS:
            raise TooManyRequests(
                "Too many failed sign-ins; wait a quarter of an hour",
                code="sign_in_braked", retry_after_s=brake.WINDOW_MIN * 60,
            )  # fmt: skip
        user = people.sign_in(conn, name, password.replace("\x00", ""))
        if user is None:
            brake.count_failure(conn, name, address)
            cookie = None
        else:
            brake.forget(conn, name)
            cookie = access.open_session(conn, user)
    if cookie is None:
        return render(request, services, None, "sign_in.html", status=401, failed=True, login=name)
    return _signed_in(request, cookie)


@router.get("/sign-in/{token}")
def sign_in_by_link(request: Request, services: Wired, token: str) -> Response:
    """Use a link up and open its session."""
    _require_loopback(request)
    with services.pool.connection() as conn:
        cookie = access.redeem_sign_in_link(conn, token.replace("\x00", ""))
    if cookie is None:
        return render(request, services, None, "sign_in.html", status=401, failed=False, link_used=True)
    return _signed_in(request, cookie)


@router.post("/sign-out", dependencies=[Depends(asker_of)])
def sign_out(request: Request, services: Wired, asker: Who) -> Response:
    """End the session."""
    with services.pool.connection() as conn:
        access.close_session(conn, request.cookies.get(COOKIE, ""))
    response = _onward(request, "/sign-in")
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post("/language/{locale}")
def choose_language(request: Request, services: Wired, locale: str) -> Response:
    """Remember the language of this browser."""
    check_same_origin(request)
    chosen = locale if locale in LOCALES else services.settings.locale
    response = _onward(request, request.headers.get("referer", "/"))
    response.set_cookie(
        LANGUAGE_COOKIE, chosen, max_age=LANGUAGE_COOKIE_S, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


def _signed_in(request: Request, cookie: str) -> Response:
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE, cookie, max_age=int(access.SESSION_LIFETIME.total_seconds()), path="/", httponly=True,
        samesite="strict", secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


def _onward(request: Request, url: str) -> Response:
    """Redirect within our own site: htmx follows a header, a browser a status."""
    path = url if url.startswith("/") and not url.startswith("//") else _own_path(request, url)
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, status_code=303)


def _own_path(request: Request, url: str) -> str:
    base = str(request.base_url)
    return "/" + url.removeprefix(base) if url.startswith(base) else "/"


def _require_loopback(request: Request) -> None:
    try:
        local = ipaddress.ip_address(address_of(request)).is_loopback
    except ValueError:
        local = False
    if not local:
        raise Forbidden("Expected a sign-in link to be opened on the machine itself", code="not_loopback")

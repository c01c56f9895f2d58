"""Who asks: a bearer token of a program, or the session cookie of a person in a browser.

A cookie travels by itself, so a write that comes with one must also prove that our own page sent it:
the browser says same origin, and the page repeats a token that only it could read.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from api.roles import PUBLIC, RULES
from collateral.domain import Role
from collateral.org import store as org
from collateral.staff import access
from core.errors import Forbidden, NotFound, Unauthenticated

if TYPE_CHECKING:
    from starlette.requests import Request

    from core.db.pool import Connection

COOKIE = "pw_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody known. ``org_ids`` are the branches they see: their own and those below it."""

    actor: str
    name: str
    roles: frozenset[Role]
    org_id: str
    org_ids: tuple[str, ...]
    csrf_token: str | None = None

    def may(self, operation: str) -> bool:
        """Whether a role of theirs may call an operation; for showing or hiding a button."""
        return RULES[operation] is PUBLIC or bool(self.roles & RULES[operation])

    def require_org(self, org_id: str | None, what: str) -> None:
        """Refuse what lies in another branch, as if it did not exist.

        Raises:
            NotFound: the thing is outside the asker's branches.
        """
        if org_id is None or org_id not in self.org_ids:
            raise NotFound(f"Expected {what} in your branches, found none")


def identify(conn: Connection, request: Request) -> Asker:
    """Return who asks.

    Raises:
        Unauthenticated: no token and no session, or one that is unknown, expired or revoked.
        Forbidden: a cookie-borne write that our own page did not send (``forged_request``).
    """
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Expected Authorization: Bearer TOKEN, was something else")
        return _by_token(conn, token.strip())
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise Unauthenticated("Expected a bearer token or a signed-in session, was neither")
    asker = _by_session(conn, cookie)
    if request.method not in SAFE_METHODS:
        check_same_origin(request)
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), (asker.csrf_token or "").encode()):
            raise Forbidden(f"Expected the page's token in {CSRF_HEADER}, was another", code="forged_request")
    return asker


def check_same_origin(request: Request) -> None:
    """Refuse a request that another site made the browser send.

    Raises:
        Forbidden: the browser says so (``forged_request``).
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in {None, "same-origin", "none"}
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        foreign = True
    if foreign:
        raise Forbidden(
            "Expected a request from our own page, was sent by another site", code="forged_request"
        )


def require_role(request: Request, asker: Asker) -> None:
    """Apply the rule of the route (api/roles.py).

    Raises:
        Forbidden: none of the asker's roles is in it.
    """
    operation = request.scope["endpoint"].__name__
    allowed = RULES[operation]
    if allowed is not PUBLIC and not asker.roles & allowed:
        raise Forbidden(
            f"Expected one of the roles {', '.join(sorted(allowed))}, was {', '.join(sorted(asker.roles))}",
            operation=operation,
        )


def csrf_token(csrf_secret: str, cookie: str) -> str:
    """Return what a page of this session has to repeat."""
    return hmac.new(csrf_secret.encode(), cookie.encode(), hashlib.sha256).hexdigest()


def _by_token(conn: Connection, token: str) -> Asker:
    principal = access.principal_of_token(conn, token)
    if principal is None:
        raise Unauthenticated("Expected a valid token, was unknown, expired or revoked", code="bad_token")
    return _asker(conn, principal, None)


def _by_session(conn: Connection, cookie: str) -> Asker:
    principal = access.principal_of_session(conn, cookie)
    if principal is None:
        raise Unauthenticated("Expected a live session, was ended: sign in again", code="session_ended")
    return _asker(conn, principal, csrf_token(principal.csrf_secret or "", cookie))


def _asker(conn: Connection, principal: access.Principal, csrf: str | None) -> Asker:
    return Asker(
        actor=principal.actor,
        name=principal.name,
        roles=principal.roles,
        org_id=principal.org_id,
        org_ids=tuple(org.subtree(conn, principal.org_id)),
        csrf_token=csrf,
    )

"""The error tree.

PledgewatchError                 500  something we promised did not hold
├── Rejected                     400  the input cannot be used; says what was expected
├── Unauthenticated              401  no valid token, session or link
├── Forbidden                    403  known, but not allowed to do this
├── NotFound                     404  no such thing, or not visible to the asker
├── Conflict                     409  the thing changed, or is in the wrong state
├── Stale                        412  an edit was made from an old version (If-Match)
├── PreconditionMissing          428  an edit did not say from which version it was made
├── TooManyRequests              429  wait before trying again
├── Upstream                     502  a broker, webhook or market source answered badly
├── Unavailable                  503  a part is down; try again
└── Misconfigured                500  a setting or a file of ours is wrong; names it

Each carries ``code`` (stable, snake_case), ``message`` ("Expected X, was Y") and ``facts``
(JSON-able). The API turns it into RFC 9457 problem JSON, the command line into stderr text.
"""

from __future__ import annotations

from typing import ClassVar


class PledgewatchError(Exception):
    """Base of every error that Pledgewatch raises on purpose."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.facts = facts


class Rejected(PledgewatchError):
    """The input cannot be used."""

    status = 400
    default_code = "rejected"


class Unauthenticated(PledgewatchError):
    """No valid token, session or sign-in link."""

    status = 401
    default_code = "unauthenticated"


class Forbidden(PledgewatchError):
    """The asker is known but may not do this."""

    status = 403
    default_code = "forbidden"


class NotFound(PledgewatchError):
    """No such thing, or it is outside the asker's branches."""

    status = 404
    default_code = "not_found"


class Conflict(PledgewatchError):
    """The thing changed meanwhile, or is in a state that forbids the command."""

    status = 409
    default_code = "conflict"


class Stale(PledgewatchError):
    """An edit was made from a version that is no longer the newest."""

    status = 412
    default_code = "stale_version"


class PreconditionMissing(PledgewatchError):
    """An edit did not say from which version it was made."""

    status = 428
    default_code = "if_match_required"


class TooManyRequests(PledgewatchError):
    """The asker has to wait before trying again."""

    status = 429
    default_code = "too_many_requests"


class Upstream(PledgewatchError):
    """Another system answered badly."""

    status = 502
    default_code = "upstream_failed"


class Unavailable(PledgewatchError):
    """A part we need is down for the moment."""

    status = 503
    default_code = "unavailable"


class Misconfigured(PledgewatchError):
    """A setting or a file of the deployment is wrong."""

    default_code = "misconfigured"

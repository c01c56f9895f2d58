"""Who is the same person, for four eyes: a session, a token and another token of one name are one.

Tokens are told apart by numbers, so that each can be revoked; whoever holds two of them is still one
pair of eyes. Names are all we know of a token's holder: two tokens of one name count as one person.
"""

from __future__ import annotations

import unicodedata

_KINDS = frozenset({"user", "token", "link"})


def person_of(actor: str) -> str:
    """Return what stands for the person behind ``user:anna``, ``token:3:anna`` or ``link:recovery``.

    Anything else (``system:auction``, a name out of the registry) stands for itself.
    """
    kind, colon, rest = actor.partition(":")
    if not colon or kind not in _KINDS:
        return actor
    name = rest.partition(":")[2] if kind == "token" else rest
    return "person:" + unicodedata.normalize("NFKC", name).strip().casefold()


def same_person(actor: str, *others: str | None) -> bool:
    """Tell whether an actor is the person behind any of the others; None is nobody."""
    person = person_of(actor)
    return any(other is not None and person_of(other) == person for other in others)

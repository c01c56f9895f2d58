"""The address book: values go in sealed, come out one by one for a purpose, and each call is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collateral.contacts import store
from collateral.contacts.cipher import ContactCipher
from collateral.contacts.hours import ContactHours
from collateral.contacts.store import Attempt, SealedContact
from collateral.contacts.values import normal_value
from collateral.domain import Purpose, UpsertCounts
from collateral.parties.store import get_party
from core.domain.money import check_currency
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection

CHANNELS = frozenset({"call", "sms", "wechat", "email", "letter", "visit"})
OUTCOMES = frozenset({
    "reached", "promised", "no_answer", "busy", "refused", "wrong_number", "left_message",
    "third_party_answered",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewContact:
    """A value in the clear, on its way in."""

    party_id: str
    kind: str
    value: str
    label: str = ""
    third_party: bool = False


def add_contacts(conn: Connection, cipher: ContactCipher, contacts: Sequence[NewContact]) -> UpsertCounts:
    """Seal and store contacts; the same value of the same party is stored once.

    Raises:
        Rejected: a bad kind or value, or the same contact twice in the batch.
    """
    sealed: dict[tuple[str, str, bytes], SealedContact] = {}
    for contact in contacts:
        one = seal(cipher, contact)
        if sealed.setdefault((one.party_id, one.kind, one.blind_index), one) is not one:
            raise Rejected(
                f"Contacts of {one.party_id}: expected each {one.kind} once, was given twice",
                code="duplicate_contact",
            )
    written = store.upsert_contacts(conn, list(sealed.values()))
    new = sum(written)
    return UpsertCounts(new, len(written) - new, len(sealed) - len(written))


def seal(cipher: ContactCipher, contact: NewContact) -> SealedContact:
    """Return a contact ready to be stored.

    Raises:
        Rejected: a bad kind or value.
    """
    value = normal_value(contact.kind, contact.value)
    return SealedContact(
        contact.party_id,
        contact.kind,
        contact.label,
        cipher.seal(contact.party_id, contact.kind, value),
        cipher.index(contact.kind, value),
        contact.third_party,
    )


def reveal(
    conn: Connection,
    cipher: ContactCipher,
    contact_id: int,
    *,
    actor: str,
    purpose: str,
    case_id: str | None = None,
) -> str:
    """Return a contact's value, and log who saw it and why, in the caller's transaction.

    Raises:
        Rejected: no purpose of the list. NotFound: no such contact.
    """
    check_purpose(purpose)
    found = store.get_contact(conn, contact_id)
    if found is None:
        raise NotFound(f"Contact {contact_id}: not registered, or removed", code="contact_not_found")
    contact, ciphertext = found
    value = cipher.open(contact.party_id, contact.kind, ciphertext)
    store.insert_reveal(conn, contact_id, actor, purpose, case_id)
    return value


def parties_sharing(conn: Connection, cipher: ContactCipher, kind: str, value: str) -> list[str]:
    """Return the parties that have this value; no value is opened for it.

    Raises:
        Rejected: a bad kind or value.
    """
    return store.parties_with(conn, kind, cipher.index(kind, normal_value(kind, value)))


def record_attempt(conn: Connection, attempt: Attempt, *, hours: ContactHours) -> int:
    """Record an attempt to reach somebody and return its id.

    Outside the allowed hours, and to a third party, a reason is required; it stays on record. Letters and
    e-mails do not ring: hours do not bind them.

    Raises:
        Rejected: an unknown word, or a promise without its day.
        NotFound: no such party, or the contact is not the party's.
        Conflict: ``outside_contact_hours`` or ``third_party_contact`` without a reason.
    """
    _check_words(attempt)
    if get_party(conn, attempt.party_id) is None:
        raise NotFound(f"Party {attempt.party_id}: not registered", code="party_not_found")
    reason = (attempt.override_reason or "").strip()
    if attempt.channel not in {"letter", "email"} and not hours.allow(attempt.attempted_at) and not reason:
        raise Conflict(
            f"Expected contact within {hours.describe()}, or a reason why not",
            code="outside_contact_hours",
            hours=hours.describe(),
        )
    if attempt.contact_id is not None:
        found = store.get_contact(conn, attempt.contact_id)
        if found is None or found[0].party_id != attempt.party_id:
            raise NotFound(
                f"Contact {attempt.contact_id}: not one of party {attempt.party_id}", code="contact_not_found"
            )
        if found[0].third_party and not reason:
            raise Conflict(
                "Third parties are not contacted; expected a reason to do so", code="third_party_contact"
            )
    return store.insert_attempt(conn, attempt)


def check_purpose(purpose: str) -> str:
    """Return the purpose when it is one.

    Raises:
        Rejected: it is not (``bad_purpose``).
    """
    if purpose not in set(Purpose):
        raise Rejected(f"Purpose: expected one of {', '.join(Purpose)}, was {purpose!r}", code="bad_purpose")
    return purpose


def _check_words(attempt: Attempt) -> None:
    check_purpose(attempt.purpose)
    if attempt.channel not in CHANNELS:
        raise Rejected(
            f"Channel: expected one of {', '.join(sorted(CHANNELS))}, was {attempt.channel!r}",
            code="bad_channel",
        )
    if attempt.outcome not in OUTCOMES:
        raise Rejected(
            f"Outcome: expected one of {', '.join(sorted(OUTCOMES))}, was {attempt.outcome!r}",
            code="bad_outcome",
        )
    if (attempt.outcome == "promised") != (attempt.promise_on is not None):
        raise Rejected(
            "Promise: expected a day with the outcome 'promised', and only with it", code="bad_promise"
        )
    if attempt.promise_minor is not None:
        check_currency(attempt.promise_currency or "")
        if attempt.promise_minor <= 0:
            raise Rejected(
                f"Promise: expected a positive amount, was {attempt.promise_minor}", code="bad_promise"
            )

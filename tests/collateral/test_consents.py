from datetime import UTC, datetime, timedelta

import pytest

from collateral.consents import book, store
from collateral.consents.store import Consent
from collateral.domain import Party, Vehicle
from collateral.parties.store import upsert_parties
from collateral.vehicles.store import upsert_vehicles
from core.errors import Conflict, NotFound, Rejected

GIVEN = datetime(2026, 3, 1, tzinfo=UTC)
LATER = GIVEN + timedelta(days=100)
TEXT = book.text_hash("本车装有定位设备\n用途:贷后管理")


@pytest.fixture
def signed(db):
    upsert_parties(db, [Party("owner", "抵押人"), Party("debtor", "借款人")])
    upsert_vehicles(db, [Vehicle("v1", pledgor_id="owner")])
    return db


def consent(**changes):
    return Consent(**{
        "party_id": "owner", "vehicle_id": "v1", "text_version": "2026-01", "text_sha256": TEXT,
        "purposes": ("risk_review", "recovery"), "signer": "owner", "channel": "paper", "given_at": GIVEN,
        "recorded_by": "user:anna", **changes,
    })  # fmt: skip


def test_a_consent_covers_its_purposes_from_then_until_it_is_revoked(signed):
    given = book.give(signed, consent())
    assert store.holds(signed, "v1", "recovery", LATER)
    assert not store.holds(signed, "v1", "support", LATER)
    assert not store.holds(signed, "v1", "recovery", GIVEN - timedelta(seconds=1))
    book.revoke(signed, given.consent_id, at=LATER, how="letter")
    assert not store.holds(signed, "v1", "recovery", LATER)
    assert store.holds(signed, "v1", "recovery", LATER - timedelta(seconds=1))


def test_a_borrower_cannot_consent_for_the_pledgor(signed):
    book.give(signed, consent(party_id="debtor", signer="debtor"))
    assert not store.holds(signed, "v1", "recovery", LATER)


def test_the_same_consent_twice_is_one_row_and_one_event(signed):
    assert book.give(signed, consent()).consent_id == book.give(signed, consent()).consent_id
    events = signed.execute("SELECT count(*) FROM domain_event WHERE kind = 'consent.changed'").fetchone()
    assert events == (1,)


def test_revoking_again_keeps_the_first_revocation(signed):
    given = book.give(signed, consent())
    book.revoke(signed, given.consent_id, at=LATER, how="letter")
    again = book.revoke(signed, given.consent_id, at=LATER + timedelta(days=1), how="call")
    assert (again.revoked_at, again.revoked_how) == (LATER, "letter")


def test_impossible_consents_are_refused(signed):
    for change in (
        {"purposes": ()}, {"purposes": ("fun",)}, {"channel": "smoke"}, {"text_sha256": b"short"}, {"signer": " "},
    ):  # fmt: skip
        with pytest.raises(Rejected):
            book.give(signed, consent(**change))
    with pytest.raises(NotFound):
        book.revoke(signed, 12345, at=LATER, how="letter")
    given = book.give(signed, consent())
    with pytest.raises(Conflict):
        book.revoke(signed, given.consent_id, at=GIVEN - timedelta(days=1), how="letter")


def test_line_ends_do_not_change_the_hash_of_a_text_and_words_do():
    assert book.text_hash("a\r\nb") == book.text_hash("a\nb")
    assert book.text_hash("a\nb") != book.text_hash("a\nc")

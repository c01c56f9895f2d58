import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from collateral.contacts import book, store
from collateral.contacts.book import NewContact
from collateral.contacts.cipher import ContactCipher, open_cipher
from collateral.contacts.hours import ContactHours
from collateral.contacts.store import Attempt
from collateral.contacts.values import normal_value
from collateral.domain import Party, Payment, UpsertCounts, Vehicle
from collateral.parties.store import upsert_parties
from collateral.vehicles.store import upsert_vehicles
from core.errors import Conflict, Misconfigured, NotFound, PledgewatchError, Rejected
from core.settings import Settings

PHONE = "138 0013 8000"
NOON = datetime(2026, 11, 1, 4, tzinfo=UTC)  # 12:00 in Shanghai
NIGHT = datetime(2026, 11, 1, 15, tzinfo=UTC)  # 23:00 in Shanghai
HOURS = ContactHours()
CIPHER = ContactCipher(Fernet.generate_key().decode())


@pytest.fixture
def parties(db):
    upsert_parties(db, [Party("p1", "客户甲"), Party("p2", "客户乙")])
    upsert_vehicles(db, [Vehicle("v1")])
    return db


def only_contact(db, party_id="p1"):
    [contact] = store.contacts_of(db, [party_id])
    return contact


def test_no_number_is_in_the_table_in_the_clear(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE), NewContact("p1", "name", "王小明")])
    stored = repr(
        parties.execute("SELECT row_to_json(contact)::text, ciphertext, blind_index FROM contact").fetchall()
    )
    for clear in ("13800138000", "王小明", b"13800138000".hex(), "王小明".encode().hex()):
        assert clear not in stored


def test_a_number_is_revealed_for_a_purpose_and_the_log_says_to_whom(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE, "本人")])
    contact = only_contact(parties)
    shown = book.reveal(
        parties, CIPHER, contact.contact_id, actor="user:anna", purpose="collection", case_id="c-1"
    )
    assert shown == "+8613800138000"
    [logged] = store.reveals_of_party(parties, "p1")
    assert (logged.actor, logged.purpose, logged.case_id) == ("user:anna", "collection", "c-1")


def test_without_a_known_purpose_nothing_is_revealed_or_logged(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE)])
    with pytest.raises(Rejected):
        book.reveal(parties, CIPHER, only_contact(parties).contact_id, actor="user:anna", purpose="curiosity")
    assert store.reveals_of_party(parties, "p1") == []


def test_a_removed_contact_is_not_revealed_but_its_log_stays(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE)])
    contact_id = only_contact(parties).contact_id
    book.reveal(parties, CIPHER, contact_id, actor="user:anna", purpose="collection")
    assert store.remove_contact(parties, contact_id)
    with pytest.raises(NotFound):
        book.reveal(parties, CIPHER, contact_id, actor="user:anna", purpose="collection")
    assert len(store.reveals_of_party(parties, "p1")) == 1


def test_the_same_number_in_another_spelling_is_stored_once(parties):
    assert book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE)]) == UpsertCounts(inserted=1)
    again = [NewContact("p1", "phone", "+86-13800138000")]
    assert book.add_contacts(parties, CIPHER, again) == UpsertCounts(unchanged=1)
    relabelled = [NewContact("p1", "phone", PHONE, "妻子", third_party=True)]
    assert book.add_contacts(parties, CIPHER, relabelled) == UpsertCounts(updated=1)


def test_parties_that_share_a_number_are_found_without_opening_any(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE), NewContact("p2", "phone", PHONE)])
    assert book.parties_sharing(parties, CIPHER, "phone", "0086 13800138000") == ["p1", "p2"]
    assert book.parties_sharing(parties, CIPHER, "phone", "13900139000") == []


def test_a_row_copied_to_another_party_does_not_open(parties):
    book.add_contacts(
        parties, CIPHER, [NewContact("p1", "phone", PHONE), NewContact("p2", "phone", "13900139000")]
    )
    parties.execute(
        "UPDATE contact SET ciphertext = (SELECT ciphertext FROM contact WHERE party_id = 'p1') WHERE party_id = 'p2'"
    )
    with pytest.raises(PledgewatchError) as moved:
        book.reveal(
            parties, CIPHER, only_contact(parties, "p2").contact_id, actor="user:anna", purpose="collection"
        )
    assert moved.value.code == "contact_moved"


def test_a_new_key_in_front_still_opens_and_finds_old_values():
    old = Fernet.generate_key().decode()
    new = Fernet.generate_key().decode()
    before, after = ContactCipher(old), ContactCipher(f"{new},{old}")
    sealed = before.seal("p1", "phone", "+8613800138000")
    assert after.open("p1", "phone", sealed) == "+8613800138000"
    assert after.index("phone", "x") == before.index("phone", "x")
    with pytest.raises(Misconfigured):
        ContactCipher(new).open("p1", "phone", sealed)


def test_the_key_is_made_once_and_required_in_production(tmp_path):
    settings = Settings(data_dir=tmp_path, _env_file=None)
    sealed = open_cipher(settings).seal("p1", "phone", "x")
    assert open_cipher(settings).open("p1", "phone", sealed) == "x"
    assert (tmp_path / "secrets" / "contacts_key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Misconfigured) as missing:
        open_cipher(Settings(data_dir=tmp_path / "other", env="production", _env_file=None))
    assert "PLEDGEWATCH_CONTACTS_KEY" in missing.value.message
    with pytest.raises(Misconfigured):
        open_cipher(Settings(data_dir=tmp_path, contacts_key="short", _env_file=None))


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    program = (
        "import sys; from pathlib import Path; from core.settings import Settings;"
        "from collateral.contacts.cipher import open_cipher;"
        "print(open_cipher(Settings(data_dir=Path(sys.argv[1]), _env_file=None)).index('phone', 'x').hex())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]  # fmt: skip
    answers = [process.communicate(timeout=60)[0] for process in running]
    assert len(set(answers)) == 1
    assert answers[0].strip()


@pytest.mark.parametrize(
    ("kind", "text", "normal"),
    [
        ("phone", "１３８００１３８０００", "+8613800138000"),
        ("phone", "(010) 8888-6666", "01088886666"),
        ("phone", "+1 415 555 0100", "+14155550100"),
        ("email", " A.B@Example.COM ", "a.b@example.com"),
        ("wechat", "13800138000", "+8613800138000"),
        ("wechat", "wang_xm-88", "wang_xm-88"),
        ("address", "上海市  黄浦区\t人民大道1号", "上海市 黄浦区 人民大道1号"),
    ],
)
def test_values_have_one_spelling(kind, text, normal):
    assert normal_value(kind, text) == normal


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("phone", "call me"),
        ("phone", ""),
        ("email", "a@b"),
        ("wechat", "短"),
        ("fax", "1234567"),
        ("address", "a\x00b"),
    ],
)
def test_what_cannot_be_a_contact_is_refused_without_repeating_it(kind, text):
    with pytest.raises(Rejected) as refused:
        normal_value(kind, text)
    if kind != "fax" and len(text) > 3:
        assert text not in refused.value.message


@given(st.text(min_size=1, max_size=60), st.sampled_from(["phone", "email", "address", "wechat", "name"]))
def test_the_one_spelling_of_a_value_is_its_own_spelling(text, kind):
    try:
        once = normal_value(kind, text)
    except Rejected:
        return
    assert normal_value(kind, once) == once


@given(
    party=st.text(st.characters(exclude_characters="\x1f", codec="utf-8"), max_size=20),
    value=st.text(max_size=80),
)
def test_what_was_sealed_for_a_party_opens_for_that_party(party, value):
    assert CIPHER.open(party, "name", CIPHER.seal(party, "name", value)) == value


def attempt(**changes):
    fields = {
        "party_id": "p1", "actor": "user:anna", "channel": "call", "purpose": "collection",
        "outcome": "reached", "attempted_at": NOON, "vehicle_id": "v1", **changes,
    }  # fmt: skip
    return Attempt(**fields)


def test_a_call_at_night_needs_a_reason_and_keeps_it(parties):
    with pytest.raises(Conflict) as refused:
        book.record_attempt(parties, attempt(attempted_at=NIGHT), hours=HOURS)
    assert refused.value.code == "outside_contact_hours"
    book.record_attempt(parties, attempt(attempted_at=NIGHT, override_reason="回电"), hours=HOURS)
    [kept] = store.list_attempts(parties, party_id="p1")
    assert kept.override_reason == "回电"


def test_a_letter_may_be_written_at_night(parties):
    assert book.record_attempt(parties, attempt(channel="letter", attempted_at=NIGHT), hours=HOURS)


def test_third_parties_are_not_called_without_a_reason(parties):
    book.add_contacts(parties, CIPHER, [NewContact("p1", "phone", PHONE, "同事", third_party=True)])
    contact_id = only_contact(parties).contact_id
    with pytest.raises(Conflict) as refused:
        book.record_attempt(parties, attempt(contact_id=contact_id), hours=HOURS)
    assert refused.value.code == "third_party_contact"


def test_a_promise_has_a_day_and_is_broken_when_it_passes_unpaid(parties):
    with pytest.raises(Rejected):
        book.record_attempt(parties, attempt(outcome="promised"), hours=HOURS)
    promise = attempt(
        outcome="promised", promise_on=date(2026, 11, 5), promise_minor=100_000, promise_currency="CNY",
        next_action="回访", next_action_on=date(2026, 11, 6),
    )  # fmt: skip
    book.record_attempt(parties, promise, hours=HOURS)
    assert store.broken_promises(parties, ["v1"], date(2026, 11, 5)) == set()
    assert store.broken_promises(parties, ["v1"], date(2026, 11, 6)) == {"v1"}


def test_a_promise_that_was_paid_is_not_broken(parties):
    from collateral.domain import LoanSnapshot
    from collateral.loans.book import record_payment, upsert_loans

    promise = attempt(outcome="promised", promise_on=date(2026, 11, 5))
    book.record_attempt(parties, promise, hours=HOURS)
    upsert_loans(parties, [LoanSnapshot("l1", "v1", 500_000, NOON)])
    record_payment(parties, Payment("pay-1", "l1", 100_000, "CNY", datetime(2026, 11, 4, tzinfo=UTC)))
    assert store.broken_promises(parties, ["v1"], date(2026, 11, 9)) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"channel": "telepathy"},
        {"outcome": "maybe"},
        {"purpose": "fun"},
        {"promise_minor": 5, "promise_currency": "x"},
    ],
)
def test_an_attempt_with_an_unknown_word_is_refused(parties, change):
    with pytest.raises(Rejected):
        book.record_attempt(parties, attempt(**change), hours=HOURS)


def test_an_attempt_belongs_to_a_known_party_and_its_own_contact(parties):
    with pytest.raises(NotFound):
        book.record_attempt(parties, attempt(party_id="ghost"), hours=HOURS)
    book.add_contacts(parties, CIPHER, [NewContact("p2", "phone", PHONE)])
    with pytest.raises(NotFound):
        book.record_attempt(parties, attempt(contact_id=only_contact(parties, "p2").contact_id), hours=HOURS)


@pytest.mark.parametrize(
    ("clock", "allowed"), [("07:59", False), ("08:00", True), ("21:59", True), ("22:00", False)]
)
def test_the_hours_are_local_and_end_sharp(clock, allowed):
    assert HOURS.allow(datetime.fromisoformat(f"2026-11-01T{clock}:00+08:00")) is allowed

"""The books: nothing is booked twice, nothing is half booked, nobody's money is spent twice."""

import threading
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auction.ledger import book, store
from auction.ledger.check import check_books, trial_balance
from auction.ledger.domain import Account, AccountKind, Posting, bank, wallet
from core.db.pool import Connection, connect
from core.errors import Conflict, NotFound, Rejected
from tests.auction.books.scene import assert_books_right

BANK = bank("CNY")


def pay_in(conn: Connection, who: int, amount_minor: int, reference: str) -> int:
    with conn.transaction():
        return book.post(
            conn,
            "in",
            reference,
            [Posting(BANK, amount_minor), Posting(wallet(who, "CNY"), -amount_minor)],
            actor="t",
        )


def move(conn: Connection, source: int, target: int, amount_minor: int, reference: str) -> int:
    with conn.transaction():
        return book.post(
            conn,
            "move",
            reference,
            [Posting(wallet(source, "CNY"), amount_minor), Posting(wallet(target, "CNY"), -amount_minor)],
            actor="t",
        )


def test_the_same_reference_books_once_and_differs_never(fresh_conn):
    conn = fresh_conn
    first = pay_in(conn, 1, 500, "a")
    assert pay_in(conn, 1, 500, "a") == first
    assert book.free_minor(conn, wallet(1, "CNY")) == 500
    with pytest.raises(Conflict) as differs:
        pay_in(conn, 1, 501, "a")
    assert differs.value.code == "reference_differs"
    with pytest.raises(Conflict):
        pay_in(conn, 2, 500, "a")
    assert book.free_minor(conn, wallet(1, "CNY")) == 500
    assert_books_right(conn)


def test_an_entry_that_does_not_add_up_is_refused(fresh_conn):
    conn = fresh_conn
    for postings, code in (
        ([Posting(BANK, 5)], "unbalanced_entry"),
        ([Posting(BANK, 5), Posting(wallet(1, "USD"), -5)], "unbalanced_entry"),
        ([], "empty_entry"),
        ([Posting(BANK, 0)], "empty_entry"),
        ([Posting(BANK, 5), Posting(BANK, -5)], "empty_entry"),
        ([Posting(BANK, 5.0), Posting(wallet(1, "CNY"), -5.0)], "bad_amount"),  # type: ignore[arg-type]
        ([Posting(BANK, True), Posting(wallet(1, "CNY"), -1)], "bad_amount"),
    ):
        with pytest.raises(Rejected) as refused, conn.transaction():
            book.post(conn, "x", "x", postings, actor="t")
        assert refused.value.code == code
    assert check_books(conn).entries == 0


def test_the_database_itself_refuses_half_an_entry(fresh_conn):
    conn = fresh_conn
    pay_in(conn, 1, 5, "a")

    def half_an_entry() -> None:
        with conn.transaction():
            entry_id = store.insert_entry(conn, "x", "half", None, None, "t", None)
            assert entry_id is not None
            store.insert_postings(conn, entry_id, [(1, 7)])

    with pytest.raises(psycopg.errors.CheckViolation):
        half_an_entry()
    with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
        store.insert_entry(conn, "x", "empty", None, None, "t", None)
    for statement in (
        "UPDATE ledger_posting SET amount_minor = amount_minor + 1",
        "DELETE FROM ledger_posting",
        "UPDATE ledger_entry SET actor = 'x'",
        "TRUNCATE ledger_entry CASCADE",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(statement)
    assert_books_right(conn)


def test_a_mistake_is_booked_back_once_and_only_while_the_money_is_there(fresh_conn):
    conn = fresh_conn
    entry_id = pay_in(conn, 1, 500, "a")
    with conn.transaction():
        back = book.reverse(conn, entry_id, "wrong bidder", "t")
    with conn.transaction():
        assert book.reverse(conn, entry_id, "again", "t") == back
    assert book.free_minor(conn, wallet(1, "CNY")) == 0
    with pytest.raises(Conflict, match="no reversal"), conn.transaction():
        book.reverse(conn, back, "x", "t")
    spent = pay_in(conn, 2, 500, "b")
    move(conn, 2, 3, 400, "c")
    with pytest.raises(Conflict) as gone, conn.transaction():
        book.reverse(conn, spent, "late", "t")
    assert (gone.value.code, gone.value.facts["available_minor"]) == ("insufficient_funds", 100)
    with pytest.raises(NotFound), conn.transaction():
        book.reverse(conn, 10**9, "x", "t")
    assert_books_right(conn)


def test_two_connections_never_spend_the_same_money(database_url, fresh_conn):
    conn = fresh_conn
    pay_in(conn, 1, 1_000, "a")
    gate = threading.Barrier(8)
    results: list[str] = []

    def spend(number: int) -> None:
        with connect(database_url, name=f"spender-{number}", autocommit=True) as mine:
            gate.wait()
            for turn in range(5):
                try:
                    move(mine, 1, 10 + number, 130, f"spend-{number}-{turn}")
                    results.append("spent")
                except Conflict as refused:
                    results.append(refused.code)

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(results)) == ["insufficient_funds", "spent"]
    assert results.count("spent") == 1_000 // 130
    assert book.free_minor(conn, wallet(1, "CNY")) == 1_000 % 130
    assert_books_right(conn)


def test_the_same_reference_at_once_is_booked_once(database_url, fresh_conn):
    conn = fresh_conn
    gate = threading.Barrier(6)
    entries: list[int] = []

    def credit() -> None:
        with connect(database_url, name="twin", autocommit=True) as mine:
            gate.wait()
            entries.append(pay_in(mine, 1, 700, "one and the same"))

    threads = [threading.Thread(target=credit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries) == 6
    assert len(set(entries)) == 1
    assert book.free_minor(conn, wallet(1, "CNY")) == 700


WALLETS = 3
ORDERS = st.lists(
    st.tuples(
        st.booleans(),  # which of two connections
        st.sampled_from(["in", "move", "again", "reverse"]),
        st.integers(0, WALLETS - 1),
        st.integers(0, WALLETS - 1),
        st.integers(1, 300),
    ),
    max_size=25,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(orders=ORDERS)
def test_any_sequence_of_orders_on_two_connections_keeps_the_books(two_connections, orders):
    run = uuid4().hex
    model = [0] * WALLETS
    done: list[tuple[str, int, int, int, int]] = []  # kind, source, target, amount, entry
    reversed_entries: set[int] = set()

    def account(number: int) -> Account:
        return Account(AccountKind.BIDDER_WALLET, f"{run}:{number}", "CNY")

    def post(conn: Connection, kind: str, source: int, target: int, amount: int, reference: str) -> int:
        first = BANK if kind == "in" else account(source)
        with conn.transaction():
            return book.post(
                conn,
                kind,
                f"{run}:{reference}",
                [Posting(first, amount), Posting(account(target), -amount)],
                actor="t",
            )

    for number, (which, kind, source, target, amount) in enumerate(orders):
        conn = two_connections[which]
        if kind == "again" and done:
            was = done[amount % len(done)]
            post(conn, was[0], was[1], was[2], was[3], f"{done.index(was)}")
        elif kind == "reverse" and done:
            was = done[amount % len(done)]
            taken_from = was[2]
            possible = model[taken_from] >= was[3] or was[4] in reversed_entries
            try:
                with conn.transaction():
                    book.reverse(conn, was[4], "t", "t")
                assert possible
                if was[4] not in reversed_entries:
                    reversed_entries.add(was[4])
                    model[taken_from] -= was[3]
                    if was[0] == "move":
                        model[was[1]] += was[3]
            except Conflict as refused:
                assert (possible, refused.code) == (False, "insufficient_funds")  # noqa: PT017 - one of two ends
        elif kind in {"in", "move"}:
            if kind == "move" and source == target:
                continue
            possible = kind == "in" or model[source] >= amount
            try:
                entry = post(conn, kind, source, target, amount, f"{len(done)}")
                assert possible
                done.append((kind, source, target, amount, entry))
                model[target] += amount
                if kind == "move":
                    model[source] -= amount
            except Conflict:
                assert not possible
        assert [book.free_minor(conn, account(n)) for n in range(WALLETS)] == model, number
    assert all(balance.difference_minor == 0 for balance in trial_balance(two_connections[0]))
    assert check_books(two_connections[1]).ok


@pytest.fixture
def two_connections(books_url):
    with (
        connect(books_url, name="one", autocommit=True) as one,
        connect(books_url, name="two", autocommit=True) as two,
    ):
        yield one, two


def test_the_check_finds_every_way_in_which_books_can_be_wrong(fresh_conn):
    conn = fresh_conn
    pay_in(conn, 1, 100, "a")
    assert check_books(conn).ok
    # Behind our backs, with the triggers off, as only an administrator could.
    conn.execute("ALTER TABLE ledger_posting DISABLE TRIGGER ALL")
    conn.execute("INSERT INTO ledger_posting (entry_id, account_id, amount_minor) VALUES (1, 2, 250)")
    found = check_books(conn)
    assert not found.ok
    assert found.broken["entries_do_not_add_up"] == 1
    assert found.broken["money_overdrawn"] == 1
    assert [balance.difference_minor for balance in found.balances] == [250]

"""Whoever switches the triggers off and edits the books by hand is noticed, also when it still balances."""

import threading

from auction.cases import actions as cases
from auction.ledger.check import check_books
from auction.settlement import actions as settlements
from auction.title import actions as title
from core.db.pool import connect
from tests.auction.books.scene import assert_books_right, sold, staged

CREDIT = "(SELECT min(entry_id) FROM ledger_entry WHERE kind = 'wallet.credited')"
EDITS = {
    "a credit grown on both sides": (
        f"UPDATE ledger_posting SET amount_minor = amount_minor * 2 WHERE entry_id = {CREDIT}",
        "entries_were_changed",
    ),
    "a credit given to another bidder": (
        (
            "UPDATE ledger_posting p SET account_id = (SELECT max(account_id) FROM ledger_account WHERE kind ="
            f" 'bidder_wallet' AND account_id <> p.account_id) WHERE amount_minor < 0 AND entry_id = {CREDIT}"
        ),
        "entries_were_changed",
    ),
    "a wallet renamed": (
        (
            "UPDATE ledger_account SET owner = 'bidder:999' WHERE kind = 'bidder_wallet'"
            " AND account_id = (SELECT min(account_id) FROM ledger_account WHERE kind = 'bidder_wallet')"
        ),
        "entries_were_changed",
    ),
    "an emptied account of another kind": (
        "UPDATE ledger_account SET kind = 'tax_fees' WHERE kind = 'lot_proceeds'",
        "entries_were_changed",
    ),
    "an entry in another's name": ("UPDATE ledger_entry SET actor = 'user:somebody'", "entries_were_changed"),
    "an entry that is gone with its lines": (
        (
            f"WITH gone AS (DELETE FROM ledger_posting WHERE entry_id = {CREDIT})"
            f" DELETE FROM ledger_entry WHERE entry_id = {CREDIT}"
        ),
        "entries_were_changed",
    ),
    "an entry that nobody booked": (
        (
            "WITH e AS (INSERT INTO ledger_entry (kind, reference, actor) VALUES ('wallet.credited', 'x', 'x')"
            " RETURNING entry_id) INSERT INTO ledger_posting (entry_id, account_id, amount_minor)"
            " SELECT entry_id, account_id, CASE kind WHEN 'bank' THEN 5 ELSE -5 END FROM e, ledger_account"
            " WHERE account_id IN (SELECT min(account_id) FROM ledger_account"
            " WHERE kind IN ('bank', 'bidder_wallet') GROUP BY kind)"
        ),
        "entries_were_changed",
    ),
    "a payment that grew": (
        "UPDATE settlement_payment SET amount_minor = amount_minor + 1",
        "payments_are_not_booked",
    ),
    "a released deposit that grew": (
        "UPDATE deposit_hold SET amount_minor = amount_minor + 1 WHERE state = 'voided'",
        "holds_are_not_as_placed",
    ),
    "a deposit of somebody else": (
        (
            "UPDATE deposit_hold SET bidder_id = (SELECT max(bidder_id) FROM bidder) WHERE bidder_id ="
            " (SELECT min(bidder_id) FROM bidder)"
        ),
        "holds_are_not_as_placed",
    ),
    "a price that sank": (
        "UPDATE settlement SET price_minor = price_minor - 1, due_minor = due_minor - 1",
        "settlements_are_not_the_hammer",
    ),
    "a price of the lot that sank": (
        "UPDATE lot SET price_minor = price_minor - 10000",
        "settlements_are_not_the_hammer",
    ),
    "a deposit set off that was not held": (
        "UPDATE settlement SET deposit_minor = deposit_minor + 1, due_minor = due_minor - 1",
        "settlements_are_not_the_hammer",
    ),
    "a division told otherwise": (
        "UPDATE settlement SET waterfall = jsonb_set(waterfall, '{legs,0,gets_minor}', '123')",
        "divisions_are_not_booked",
    ),
    "a division forgotten": ("UPDATE settlement SET waterfall = NULL", "divisions_are_not_booked"),
}


def test_every_edit_by_hand_of_books_that_balance_is_noticed(fresh_conn):
    conn = fresh_conn
    scene = sold(conn)
    assert_books_right(conn)
    scene.pay(scene.settlement().due_minor)
    scene.transfer()
    settlement_id = scene.settlement().settlement_id
    scene.do(title.hand_over, settlement_id, scene.code, 61_000, "user:anna")
    scene.do(settlements.close, settlement_id, "user:anna")
    assert_books_right(conn)
    for what, (statement, broken) in EDITS.items():
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL session_replication_role = replica")
            assert conn.execute(statement).rowcount > 0, what
            assert check_books(conn).broken[broken] > 0, what
    assert_books_right(conn)


def test_two_who_redeem_at_once_are_both_told_that_it_is_redeemed(books_url, conn):
    for turn in range(5):
        scene = staged(conn)
        scene.publish()
        scene.come()
        gate = threading.Barrier(2)
        told: list[str] = []

        def redeem(gate=gate, told=told, case_id=scene.case_id, turn=turn) -> None:
            with connect(books_url, name=f"redeemer-{turn}") as mine:
                gate.wait()
                done = cases.redeem(mine, "paid off", "user:anna", case_id=case_id)
                told.append(done.state if done else "none")

        threads = [threading.Thread(target=redeem) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert told == ["redeemed", "redeemed"]
    assert_books_right(conn)

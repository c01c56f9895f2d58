"""The closing fence: no bid in time is refused however long it waited; without the fence some are."""

from __future__ import annotations

import pytest

from core.db.pool import connect
from tests.auction.chain import check_chain
from tests.auction.storm import NO_FENCE, rage

CLIENTS = 60
STORMS = 2
MOST_STORMS = 8
"""The mutant refuses somebody in nearly every storm; the bound only keeps a lucky row from failing."""


def test_no_bid_in_time_is_refused_while_the_sweeper_closes(database_url: str) -> None:
    struck = 0
    for seed in range(MOST_STORMS):
        storm = rage(database_url, CLIENTS, seed)
        assert storm.refused == []
        # On a machine that is busy elsewhere a storm may come too late to say anything.
        if storm.timely < CLIENTS // 2:
            continue
        struck += 1
        assert storm.accepted
        assert storm.lot.state == "hammered"
        best = max(storm.accepted, key=lambda answer: (answer.own_max_minor, -answer.seq))
        assert storm.lot.leader_max_minor == best.own_max_minor
        assert storm.lot.hammered_at is not None
        assert storm.lot.hammered_at >= max(answer.decided_at for answer in storm.accepted)
        with connect(database_url, name="check", autocommit=True) as conn:
            kinds = check_chain(conn, storm.lot.lot_id)
        assert kinds[-1] == "lot.hammered"
        assert kinds.count("bid.accepted") == len(storm.accepted)
        if struck == STORMS:
            return
    pytest.fail(f"{struck} of {MOST_STORMS} storms struck before the end: this test proves too little")


def test_without_the_fence_bids_in_time_are_refused(database_url: str) -> None:
    with connect(database_url, name="mutant", autocommit=True) as conn:
        conn.execute(NO_FENCE)
    for seed in range(MOST_STORMS):
        storm = rage(database_url, CLIENTS, seed)
        if storm.refused:
            return
    pytest.fail(f"{MOST_STORMS} storms without the fence refused nobody: this test proves nothing any more")

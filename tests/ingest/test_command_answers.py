"""What devices say about commands, through the stages and the transaction of a batch."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from collateral import provisioning
from collateral.commands import queue, store
from collateral.commands.domain import Kind, State
from collateral.domain import Purpose, Role
from core.errors import Conflict, Forbidden, Rejected
from tests.fix_ingest import delivery, position

ADMIN = frozenset({Role.ADMIN})


def ask(pipeline, device_id="d1", kind=Kind.LOCATE, params=None, **changes):
    asked = {"purpose": Purpose.TEST, "roles": ADMIN, "actor": "user:1"} | changes
    with pipeline.conn.transaction():
        return queue.ask(pipeline.conn, device_id, kind, params or {}, **asked)


def answer(command_id: UUID, state, device_id="d1", detail="", **changes):
    said = {"v": 1, "device_id": device_id, "id": str(command_id), "state": state, "detail": detail,
            "at": "2026-11-22T03:04:06.000Z"} | changes  # fmt: skip
    return delivery(said, device_id=device_id, kind="cmdack")


def state_of(pipeline, command):
    return queue.command_of(pipeline.conn, command.command_id).state


def test_an_answer_moves_its_command_in_the_transaction_of_the_batch(pipeline):
    command = ask(pipeline)
    attempt = pipeline.put(answer(command.command_id, "received"), delivery(position("d1", 1)))
    assert (attempt.counts.status, attempt.counts.inserted, attempt.counts.received) == (1, 1, 2)
    assert state_of(pipeline, command) == State.RECEIVED
    pipeline.put(answer(command.command_id, "done", detail="fix in 4 s"))
    stored = queue.command_of(pipeline.conn, command.command_id)
    assert (stored.state, stored.detail, stored.ended_by) == ("done", "fix in 4 s", "device")


def test_both_answers_in_one_batch_and_their_repeats_end_as_done(pipeline):
    command = ask(pipeline)
    pair = [answer(command.command_id, "received"), answer(command.command_id, "done")]
    counts = pipeline.put(*pair, *pair).counts
    assert (counts.status, counts.quarantined) == (4, 0)
    pipeline.put(*pair)
    assert state_of(pipeline, command) == State.DONE


def test_an_answer_of_another_device_or_to_nothing_is_kept_aside_and_counted_each_time(pipeline):
    command = ask(pipeline)
    counts = pipeline.put(
        answer(command.command_id, "done", device_id="d2"),
        answer(uuid4(), "done"), *[answer(UUID(int=7), "done")] * 2,
        answer(command.command_id, "done", device_id="d8"),
    ).counts  # fmt: skip
    assert (counts.status, counts.quarantined) == (0, 5)
    assert pipeline.quarantined() == {"unknown_command": 4, "revoked_device": 1}
    assert state_of(pipeline, command) == State.QUEUED


def test_what_is_no_answer_is_refused_with_a_reason(pipeline):
    some_id = str(UUID(int=1)).encode()
    for payload in (
        b'{"v": 1, "device_id": "d1", "id": "x", "state": "done"}',
        b'{"v": 1, "device_id": "d1", "state": "perhaps", "id": "%s"}' % some_id,
        b'{"v": 2, "device_id": "d1", "state": "done", "id": "%s"}' % some_id,
        b'{"v": 1, "device_id": "d2", "state": "done", "id": "%s"}' % some_id,
        b"nonsense",
    ):
        pipeline.put(delivery(payload, kind="cmdack"))
    assert pipeline.quarantined() == {
        "schema": 2, "unknown_version": 1, "device_mismatch": 1, "not_json": 1,
    }  # fmt: skip


def test_a_report_on_the_answer_topic_is_still_a_report(pipeline):
    assert pipeline.put(delivery(position("d1", 1), kind="cmdack")).counts.inserted == 1


def test_what_the_device_did_outweighs_expiry_and_cancellation(pipeline):
    expired, cancelled, refused = ask(pipeline), ask(pipeline), ask(pipeline)
    pipeline.ask("UPDATE device_command SET requested_at = now() - interval '2 h', expires_at = now() -"
                 " interval '1 h' WHERE command_id = %s RETURNING 1", expired.command_id)  # fmt: skip
    assert store.expire(pipeline.conn) == 1
    queue.cancel(pipeline.conn, cancelled.command_id, actor="user:2")
    pipeline.put(answer(refused.command_id, "refused", detail="unsupported"))
    pipeline.put(answer(refused.command_id, "done"))
    assert [state_of(pipeline, one) for one in (expired, cancelled, refused)] == [
        "expired", "cancelled", "refused",
    ]  # fmt: skip
    pipeline.put(answer(expired.command_id, "done"), answer(cancelled.command_id, "received"))
    assert [state_of(pipeline, one) for one in (expired, cancelled)] == ["done", "cancelled"]
    with pytest.raises(Conflict, match="was cancelled"):
        queue.cancel(pipeline.conn, cancelled.command_id, actor="user:2")


def test_confirmed_intervals_become_those_that_silence_is_judged_by(pipeline):
    command = ask(pipeline, kind=Kind.INTERVAL, params={"moving_s": 15, "sleep_s": 7200})
    before = pipeline.ask("SELECT parked_s FROM device WHERE device_id = 'd1'")[0][0]
    pipeline.put(answer(command.command_id, "done"))
    assert pipeline.ask("SELECT moving_s, parked_s, sleep_s FROM device WHERE device_id = 'd1'") == [
        (15, before, 7200)
    ]


def test_a_revocation_takes_back_what_waits(pipeline):
    command = ask(pipeline, "d2")
    with pipeline.conn.transaction():
        provisioning.revoke(pipeline.conn, "d2")
    stored = queue.command_of(pipeline.conn, command.command_id)
    assert (stored.state, stored.detail) == ("cancelled", "device revoked")
    with pytest.raises(Conflict, match="revoked"):
        ask(pipeline, "d2")


def test_parameters_that_are_not_the_kinds_are_refused(pipeline):
    for kind, params in (
        (Kind.LOCATE, {"fast": 1}),
        (Kind.TRACK, {"interval_s": 10}),
        (Kind.TRACK, {"interval_s": 4, "duration_s": 600}),
        (Kind.TRACK, {"interval_s": True, "duration_s": 600}),
        (Kind.TRACK, {"interval_s": 10, "duration_s": 86_401}),
        (Kind.INTERVAL, {}),
        (Kind.INTERVAL, {"moving_s": "30"}),
        (Kind.REBOOT, {"hard": 1}),
    ):
        with pytest.raises(Rejected):
            ask(pipeline, kind=kind, params=params)
    assert pipeline.counts("device_command") == (0,)


def test_who_may_ask_depends_on_the_kind_and_on_what_for(pipeline):
    recovery, manager = frozenset({Role.RECOVERY}), frozenset({Role.DEVICE_MANAGER})
    tracking = {"interval_s": 10, "duration_s": 600}
    ask(pipeline, roles=recovery, purpose=Purpose.RECOVERY)
    ask(pipeline, kind=Kind.TRACK, params=tracking, roles=recovery, purpose=Purpose.RECOVERY)
    ask(pipeline, kind=Kind.REBOOT, roles=manager, purpose=Purpose.SUPPORT)
    for kind, params, roles, purpose, code in (
        (Kind.REBOOT, {}, recovery, Purpose.SUPPORT, "command_not_yours"),
        (Kind.TRACK, tracking, manager, Purpose.RECOVERY, "command_not_yours"),
        (Kind.LOCATE, {}, frozenset({Role.AUDITOR}), Purpose.AUDIT, "command_not_yours"),
        (Kind.LOCATE, {}, recovery, Purpose.AUDIT, "purpose_not_enough"),
        (Kind.TRACK, tracking, recovery, Purpose.COLLECTION, "purpose_not_enough"),
    ):
        with pytest.raises(Forbidden) as refused:
            ask(pipeline, kind=kind, params=params, roles=roles, purpose=purpose)
        assert refused.value.code == code


def test_an_expiry_out_of_bounds_and_an_eleventh_open_command_are_refused(pipeline):
    for lasting in (timedelta(seconds=5), timedelta(days=31)):
        with pytest.raises(Rejected):
            ask(pipeline, expires_in=lasting)
    for _ in range(10):
        ask(pipeline)
    with pytest.raises(Conflict) as refused:
        ask(pipeline)
    assert refused.value.code == "too_many_commands"

"""What happens to a batch, in order. Read this first.

    deliveries -> split -> decode -> check_sender -> convert_datum -> judge_time      once per batch
               -> bind -> make_room -> write -> apply_rules -> keep_account -> COMMIT   again on a retry

Acknowledgement comes after the COMMIT, and belongs to the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.clock import to_ms
from ingest.domain import Batch
from ingest.preparing import check_sender, convert_datum, decode, judge_time, split
from ingest.storing import apply_rules, bind, keep_account, make_room, write

if TYPE_CHECKING:
    from core.clock import Clock
    from ingest.domain import Delivery
    from ingest.storing import Attempt

PREPARE = (split, decode, check_sender, convert_datum, judge_time)
COMMIT = (bind, make_room, write, apply_rules, keep_account)
STAGES = (*PREPARE, *COMMIT)


def prepare(deliveries: list[Delivery], clock: Clock) -> Batch:
    """Run the stages that need no database."""
    batch = Batch(deliveries, received_ms=to_ms(clock.now()))
    for stage in PREPARE:
        stage(batch, clock)
    return batch


def attempt_commit(attempt: Attempt) -> None:
    """Run the stages of the transaction; the caller opened it and commits it."""
    for stage in COMMIT:
        stage(attempt)

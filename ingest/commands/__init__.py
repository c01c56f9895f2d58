"""Commands on their way down: what is due goes to the broker, and is sent when the broker had a taker.

In: collateral/commands' queue. Out: JSON on ``pw/v1/{shard}/{device}/cmd`` at QoS 1; states queued ->
sent, expired. Answers come back through the pipeline (ingest/answers.py).
Tables: none. Process: a thread of `python -m ingest`; of several processes one sends, by advisory lock.
"""

"""A command sent twice with one Idempotency-Key is done once, and answered twice.

In: creating commands. Out: the first answer again. Tables: idempotency_key.
Process: `python -m api`.
"""

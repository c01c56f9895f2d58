"""The public, append-only, hash-chained log of a lot.

In: events, written in the transaction of what they tell. Out: pages of events for streams and protocols.
hash = SHA-256(prev_hash || body), body being the stored UTF-8 JSON; seq has no gaps.
Tables: lot_event. Process: none; whoever changes a lot writes it.
"""

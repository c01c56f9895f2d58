"""The public, append-only, hash-chained log of a lot.

In: events, written in the transaction of what they tell. Out: pages of events for streams and protocols.
Owns lot_event. hash = SHA-256(prev_hash || body), body being the stored UTF-8 JSON; seq has no gaps.
"""

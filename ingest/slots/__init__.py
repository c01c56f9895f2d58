"""Slots: who serves which part of the broker's topics, fenced by an epoch in database time.

In: how many slots there are. Out: leases, and what each slot's session and window look like.
Tables: ingest_slot, ingest_worker, ingest_layout. Process: none; the ingest process leases, renews and
releases, and takes no more than its share.
"""

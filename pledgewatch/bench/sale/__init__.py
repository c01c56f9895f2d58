"""Measuring a sale: staged lots, writers on the database, watchers of streams, what people build first.

In: how many lots, guests, watchers. Out: rates, delays, and counts of what must not happen.
Tables: those of the sale through their room (terms of drafts also directly); bench_lot, bench_bid and
bench_event for peers. Process: `pledgewatch bench auction`, with the API and the sweeper as children.
"""

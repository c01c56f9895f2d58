"""Placing a bid: one round trip, judged under the lock of the lot's row.

In: a bidder's maximum and when it arrived in database time. Out: BidAccepted or BidRefused.
Tables: bid. Process: the API; the rule is auction/engine, spoken in SQL by
core/db/functions/auction_place_bid.sql.
"""

"""People who bid: seeded wishes and nerves, real HTTP, and a log of what the server acknowledged.

In: a lot's public page, one token for each bidder. Out: registrations, deposits and bids over HTTP, an
outcome log. Deciding is pure and seeded; everything uncertain (a cut line, a 5xx) is asked again with
the same Idempotency-Key, never with a new one.
Tables: none. Process: `pledgewatch bidders run`.
"""

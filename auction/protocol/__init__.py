"""The signed protocol of a lot: what everybody may check offline, years later, without our database.

In: a decided lot, its stored events, the openings of its commitments. Out: one JSON document with an
Ed25519 signature; and the verdict of a verifier that replays the result with the pure engine.
Tables: none of its own (reads lot, lot_event, bid, registration). Process: the API and
`pledgewatch auction export|verify|key`.
"""

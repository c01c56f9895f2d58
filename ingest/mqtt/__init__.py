"""A subscriber's MQTT 5 (3.1.1 where a broker knows no better), made to receive much and answer at once.

In: bytes of a broker's connection. Out: deliveries in the slot's ring, acknowledgements and probes back.
Tables: none. Process: a network thread of `python -m ingest` per slot. `wire`, `properties`, `packets`,
`frames`, `answers` know bytes; `session` knows the protocol; `stream` the socket; `keeping` the thread.
"""

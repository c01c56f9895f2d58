"""Vendor clouds: devices whose maker keeps the reports, pulled with a cursor or pushed to a webhook.

In: JSON of a declared source (source.py). Out: reports of core/wire on the devices' topics; a pull's cursor
moves, and a push is answered with success, only after the broker acknowledged every message.
Tables: vendor_source. Process: `python -m ingest.gateways.vendor`.
"""

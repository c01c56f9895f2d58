"""Feeds of market prices over HTTP: declared in TOML, pulled with manners, stored like a file.

In: JSON pages of a source (declared as source.py says). Out: observations through valuation/market, and how
the pull ended. Nothing of a pull is stored unless all of it came.
Tables: market_source_state. Process: `python -m valuation` (run.pull_all), `pledgewatch market pull`.
"""

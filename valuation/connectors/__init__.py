"""Feeds of market prices over HTTP: declared in TOML, pulled with manners, stored like a file.

In: JSON pages of a source (docs in source.py). Out: observations through valuation/market, and how the
pull ended in market_source_state, which this package owns. Runs in the valuation process (run.pull_all)
and in `pledgewatch market pull`. Nothing of a pull is stored unless all of it came.
"""

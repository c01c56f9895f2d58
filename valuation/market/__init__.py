"""Market observations: taken in once, told apart, kept for ever.

In: normalised rows of a file or a feed. Out: market_observation, what the model learns from.
Tables: market_import, market_observation, market_quarantine.
Process: `pledgewatch market`, `python -m valuation`.
"""

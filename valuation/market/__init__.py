"""Market observations: taken in once, told apart, kept for ever.

In: normalised rows of a file or a feed. Out: market_observation, what the model learns from.
Owns market_import, market_observation, market_quarantine. Runs inside `pledgewatch market` and the
valuation process.
"""

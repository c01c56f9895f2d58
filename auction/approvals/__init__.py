"""Four eyes: one person asks, another decides, and the decision carries out what was asked.

In: a question about a lot, title step, cost or settlement. Out: its effect (`effects.EFFECTS`), once.
Tables: approval. Process: none.
"""

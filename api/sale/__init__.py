"""What the sale's resources and pages share: arrival in database time, visitors, models, the bid limiter.

In: requests about lots. Out: answers that show no identity and no maximum. Tables: none of its own.
Process: `python -m api`.
"""

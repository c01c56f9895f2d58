"""What happens to lots by the passing of time: opening, the hammer, a payment that did not come.

In: next_timer_at of lot rows. Out: transitions, and the aftermath in the same transaction.
Tables: auction_beat, auction_outage. Process: `python -m auction`; any number of them may run.
"""

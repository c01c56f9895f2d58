"""What happens to lots by the passing of time: opening, the hammer, a payment that did not come.

In: next_timer_at of lot rows. Out: transitions, and the aftermath in the same transaction.
Owns auction_beat and auction_outage. Runs in `python -m auction`; any number of such processes may run.
"""

"""Domain events: what happened in one room that another reacts to.

In: `emit` in the transaction of the change. Out: handlers called at least once, in order.
Tables: domain_event, log_cursor, event_failure. Process: `pledgewatch events` dispatches;
the same cursors read any append-only log with (txid, seq), such as `finding`.
"""

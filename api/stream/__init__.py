"""Live streams: one thread reads what is new in the tables and hands it to every open connection.

In: alert_event and latest_position. Out: server-sent events whose ids come from the tables, so that
a client that reconnects with Last-Event-ID gets what it missed, from any API process.
Tables: none. Process: `python -m api`.
"""

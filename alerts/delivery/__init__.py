"""Telling people outside: signed webhooks and every service Apprise speaks.

In: alert history lines worth a message. Out: HTTP requests, with retries, each at most once per channel.
Tables: delivery. Process: a thread of `python -m alerts`.
"""

"""Telling people outside: signed webhooks and every service Apprise speaks.

In: alert history lines worth a message. Out: HTTP requests, tried again under the same key: at least
once per channel.
Tables: delivery. Process: a thread of `python -m alerts`.
"""

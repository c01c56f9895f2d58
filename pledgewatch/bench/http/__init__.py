"""Measuring over HTTP: a cheap load generator, our processes as children, a bare peer.

In: requests, how many in flight, how long. Out: every answer with its times.
Tables: none of its own. Process: `pledgewatch bench api|auction`; the peer is a child of the former.
"""

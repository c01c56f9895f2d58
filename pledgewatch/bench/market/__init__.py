"""Measuring valuation: an invented market and fleet, a fit in a process of its own, naive peers.

In: how many sales and vehicles. Out: seconds, memory, errors against prices that are known.
Tables: market_observation and the registry through their rooms; bench_sale for a peer.
Process: `pledgewatch bench valuation`; the fit is a child of it.
"""

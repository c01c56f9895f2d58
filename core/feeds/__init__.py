"""Other people's HTTP, asked with manners: paced, retried, bounded, never led astray by a redirect.

In: a declared feed (address, token by environment, limits). Out: pages that came whole and are JSON.
Market sources (valuation/connectors) and vendor clouds (ingest/gateways/vendor) pull through it.
Tables: none. Process: none.
"""

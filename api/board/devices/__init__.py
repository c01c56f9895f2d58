"""Devices as lists show them: with their vehicle and the last that was heard.

In: tables of collateral and core, read only. Out: rows. Tables: none. Process: `python -m api`.
"""

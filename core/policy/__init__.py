"""What law and the house allow, as data: one dated TOML file per policy pack (ADR 14).

In: a pack's name, and a version when a case was begun under an older one. Out: a checked `Pack`.
Counsel reads `packs/*.toml`; `dates.py` counts business days. Tables: none. Process: none.
"""

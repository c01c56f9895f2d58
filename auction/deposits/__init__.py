"""Bidders' money: wallets fed from the bank, deposits held for a lot, given back, applied or forfeited.

In: bank references, registrations, decisions about lots. Out: ledger entries, and holds that end once.
Tables: deposit_hold. Process: none.
"""

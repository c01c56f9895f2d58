"""Double-entry books: every movement of money once, in entries that add up to zero.

In: postings under a reference that names their cause. Out: balances, trial balance, what must hold.
Tables: ledger_account, ledger_entry, ledger_posting, ledger_seal. Process: none (`pledgewatch ledger check`).
"""

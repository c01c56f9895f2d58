"""From paid to the buyer's yard: the papers of the transfer step by step, then the handover.

In: evidence of each step. Out: a lot that is transferred, then handed over against a release code.
Tables: title_step. Process: none.
"""

"""One pledged vehicle's value: its own facts, read together, given to the newest model of its market.

In: registry, newest odometer, newest inspection, manual appraisals, loans. Out: `Valued`, with cautions.
Tables: none; estimates/ keeps what comes out. Process: none.
"""

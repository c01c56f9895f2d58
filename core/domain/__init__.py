"""Values that several rooms speak about: reports, findings, severities, money.

In: nothing. Out: frozen values without I/O. Tables: none. Process: none.
"""

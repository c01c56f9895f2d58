"""Times of a vehicle whose reports were dropped or erased: what was found there cannot be judged again.

In: the days that are kept, erasures. Out: spans of event time. Tables: none of its own.
Process: none; a library of the replayer.
"""

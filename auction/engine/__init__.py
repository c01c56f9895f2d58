"""The rules of the sale as a pure function: (state, command, now) -> (state', events, result).

No I/O, no clock, no binary fractions. The SQL functions are a second implementation, tested against it;
the offline verifier replays protocols through it.
"""
